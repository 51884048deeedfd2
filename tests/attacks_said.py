"""What a process of onnxflow says of a hostile file: its exit code, its texts, its seconds and its memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

# The child tells its own peak. On Linux resource's would begin with that of the process that started it.
_CHILD: Final = """
import atexit, resource, sys
from pathlib import Path
from onnxflow.cli.main import main
report = sys.argv.pop(1)
def peak():
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
atexit.register(lambda: Path(report).write_text(str(peak())))
main()
"""


@dataclass(frozen=True, slots=True)
class Said:
    """How a process ended; ``peak`` in MiB."""

    code: int
    out: str
    err: str
    seconds: float
    peak: float

    @property
    def text(self) -> str:
        return self.out + self.err

    def check(self, *codes: int, seconds: float = 20, peak: float = 1024) -> Said:
        """This, which ended with one of ``codes`` within the bounds, without a traceback or a terminal's escapes."""
        start = self.text[:3000]
        assert self.code in codes, (self.code, start)
        assert "Traceback" not in self.text and "internal error" not in self.text, start
        assert all(sign.isprintable() or sign == "\n" for sign in self.text[:100_000]), repr(start)
        assert self.seconds < seconds and self.peak < peak, (self.seconds, self.peak, start[:300])
        return self


def onnxflow(*arguments: object, cwd: Path) -> Said:
    """``onnxflow ARGUMENTS`` in a process of its own."""
    report = cwd / "peak"
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", "-c", _CHILD, str(report), *map(str, arguments)],
        cwd=cwd, capture_output=True, check=False, timeout=120, env={**os.environ, "PYTHONUTF8": "1"},
    )  # fmt: skip
    seconds = time.perf_counter() - started
    unit = 2**20 if sys.platform == "darwin" else 2**10
    peak = int(report.read_text()) / unit if report.exists() else 0.0
    out, err = (text.decode("utf-8", "replace") for text in (done.stdout, done.stderr))
    return Said(done.returncode, out, err, seconds, peak)


def saved(folder: Path, document: Any, name: str = "wf.json") -> Path:
    """A file with ``document``: a text as it is, anything else as JSON."""
    path = folder / name
    text = document if isinstance(document, str) else json.dumps(document)
    path.write_text(text, "utf-8", errors="surrogatepass")
    return path

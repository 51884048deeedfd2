"""A child process that tries nothing, and does what a test says instead."""

from __future__ import annotations

import sys
from pathlib import Path

from onnxflow.providers.device import Device
from onnxflow.providers.probe_child import MARK

CUDA = Device("cuda", "0")
WORKS = {"works": True, "problem": "", "cure": "", "speed": {"fp32": 100.0, "fp16": 200.0}}


class Script:
    """A child that does what a piece of Python says, and a count of how often it was started."""

    def __init__(self, folder: Path, code: str) -> None:
        self._starts = folder / "starts"
        file = folder / "child.py"
        head = f"import json, os, sys, time\nopen({str(self._starts)!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        tell = f"def tell(told): print('\\n' + {MARK!r} + json.dumps(told), flush=True)\n"
        file.write_text(head + tell + code, "utf-8")
        self.command = (sys.executable, "-I", str(file))

    @property
    def asked(self) -> list[str]:
        return self._starts.read_text("utf-8").splitlines() if self._starts.exists() else []

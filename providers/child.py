"""A child process with a time limit, and how its death reads: what it loads may crash or hang, and must not kill us."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled

_GRACE: Final = 5.0
"""Seconds for a killed child to go. One that hangs inside its driver cannot: it is left behind then."""

_TURN: Final = 0.2
"""Seconds between two looks at whether a run was cancelled."""

_NAMES: Final = {
    0xC000001D: "SIGILL",
    0xC0000005: "SIGSEGV",
    0xC0000409: "SIGABRT",
    0xC00000FD: "SIGSEGV",
}
"""Windows' exit codes (NTSTATUS) by the signal that is the same elsewhere."""

_NO_DLL: Final = (0xC0000135, 0xC0000139, 0xC0000142)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a child wrote, and its exit code: below zero a signal's number; None for one that ran out of time."""

    output: str
    errors: str
    code: int | None

    @property
    def last_words(self) -> str:
        """The last line that it wrote to stderr."""
        lines = [line.strip() for line in self.errors.splitlines() if line.strip()]
        return lines[-1][:200] if lines else ""


def run_child(
    command: Sequence[str],
    limit: float,
    cancel: CancelToken | None = None,
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a command, without input, for ``limit`` seconds at most; it and what it started are killed then, and when we
    are interrupted or ``cancel`` is thrown, which raises Cancelled. Never another exception for what the child does."""
    if cancel is not None:
        cancel.check()
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    pipe = subprocess.PIPE
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=environment, **apart)
    except OSError as error:
        return Ended("", f"{command[0]} does not start: {error}", 1)
    deadline = time.monotonic() + limit
    try:
        while True:
            try:
                output, errors = child.communicate(timeout=max(0.0, min(_TURN, deadline - time.monotonic())))
                return Ended(_text(output), _text(errors), child.returncode)
            except subprocess.TimeoutExpired:
                if cancel is not None and cancel.cancelled:
                    raise Cancelled() from None
                if time.monotonic() >= deadline:
                    break
    except BaseException:
        kill_tree(child)
        raise
    kill_tree(child)
    with contextlib.suppress(subprocess.TimeoutExpired):
        output, errors = child.communicate(timeout=_GRACE)
        return Ended(_text(output), _text(errors), None)
    return Ended("", "", None)


def kill_tree(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that leads a group of its own, with all that it started."""
    if sys.platform == "win32":
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                ["taskkill", "/F", "/T", "/PID", str(child.pid)], capture_output=True, check=False, timeout=_GRACE
            )
    else:
        with contextlib.suppress(OSError):
            os.killpg(child.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        child.kill()


def death(ended: Ended, limit: float, wheel: str = "", version: str = "", core: str = "onnxruntime") -> tuple[str, str]:
    """The problem and its cure, of a child that gave no answer; ``wheel`` is what it used, with its version, ``core``
    is the distribution that is onnxruntime itself."""
    unfit = re.search(r"requested API version \[\d+\] is not available", ended.errors)
    if unfit is not None and wheel:  # plug-ins of some vendors crash then
        return f"{wheel} {version} needs a newer {core} ({unfit[0]})", f"pip install --upgrade {core} {wheel}"
    words = f": {ended.last_words}" if ended.last_words else ""
    older = f"pip install '{wheel}<{version}'" if wheel and version else "install an older version of its wheel"
    newer = f"pip install --upgrade {wheel}" if wheel else "update its wheel"
    if ended.code is None:
        return (
            f"it did not answer within {limit:g} s",
            "update its driver, or restart the machine, then run onnxflow providers --refresh",
        )
    name = signal_of(ended.code)
    if name == "SIGILL":
        return (
            "illegal instruction: this processor lacks one that its wheel was built for; an older wheel may do without",
            older,
        )
    if name == "SIGKILL":
        return (
            "it was killed by the system, most likely for want of memory",
            "close other programs, or name another device",
        )
    if name:
        return (
            f"its driver or library crashed ({name}){words}",
            newer if wheel in ("", core) else f"update its driver, or its wheel: {newer}",
        )
    if ended.code & 0xFFFFFFFF in _NO_DLL:
        return (
            f"a DLL that it needs is missing or too old (exit code {ended.code & 0xFFFFFFFF:#x}){words}",
            "winget install Microsoft.VCRedist.2015+.x64",
        )
    return f"its trial ended with exit code {ended.code} and gave no result{words}", newer


def is_passing(problem: str) -> bool:
    """Whether a problem, as it is told, may be gone the next time: there was no memory or no time just now."""
    return re.search(r"enough memory|want of memory|MemoryError|memory full|did not answer within", problem) is not None


def signal_of(code: int) -> str:
    """The name of the signal that an exit code stands for; empty for one that stands for none."""
    if code < 0 and sys.platform != "win32":
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"
    return _NAMES.get(code & 0xFFFFFFFF, "")


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")

"""Regular expressions of strangers: carried out within a time limit.

A pattern such as ``(a+)+$`` takes Python's matcher exponential time, in which it holds the interpreter, so that no
thread and no Ctrl-C can end it. What may take long is therefore done by a child process, which can be killed; what
cannot is done at once, because starting one takes 50 ms.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from onnxflow.errors import InputError, shown
from onnxflow.text.regex_work import Refused, Work, carry_out, to_json

LIMIT: Final = 10.0
"""Seconds that a pattern may take."""

_AT_ONCE: Final = 10**7
"""Steps of the matcher that nobody notices: about a tenth of a second."""

_LONG_PATTERN: Final = 10_000
"""Characters that are read in a moment; those of longer patterns alone may take long."""

_TURN: Final = 0.1
_PROGRAM: Final = Path(__file__).with_name("regex_work.py")


def search(work: Work, check_cancelled: Callable[[], None], limit: float = LIMIT) -> str | bool:
    """The result of ``work``, which took ``limit`` seconds at most; Refused for what it cannot do.

    InputError when the time is over; what ``check_cancelled`` raises when the run is stopped meanwhile.
    """
    return carry_out(work) if steps(work) <= _AT_ONCE else _in_child(work, check_cancelled, limit)


def steps(work: Work) -> float:
    """No less than the steps that matching takes; infinity where that is not easily told.

    Each ``*`` or ``+`` can end in as many places as the text has, each ``?`` and ``|`` doubles the ways, and there is
    one more choice of where to start. With a group inside a repetition, or a counted one, the ways may multiply.
    """
    pattern = work.pattern
    repetitions = pattern.count("*") + pattern.count("+")
    choices = pattern.count("?") + pattern.count("|")
    unclear = "{" in pattern or ("(" in pattern and repetitions) or choices > 64 or repetitions > 64
    if unclear or len(pattern) > _LONG_PATTERN:
        return float("inf")
    return (len(pattern) + 1) * 2.0**choices * (len(work.text) + 1.0) ** (1 + repetitions)


def _in_child(work: Work, check_cancelled: Callable[[], None], limit: float) -> str | bool:
    check_cancelled()
    # A group of its own, or Ctrl-C would end it before we know that we are stopped.
    apart: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    command = [sys.executable, "-I", "-S", str(_PROGRAM)]
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    try:
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nothing, **apart)
    except OSError as error:
        raise InputError(
            f"the pattern {shown(work.pattern)} may take long, and the program to try it in does not start: {error}",
            where=command[0],
            hint="use a pattern without groups in repetitions",
        ) from None
    try:
        answer = _answer(child, to_json(work), check_cancelled, time.monotonic() + limit)
    finally:
        child.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.communicate(timeout=1.0)  # closes the pipes, and leaves no dead process
    if answer is None:
        raise InputError(
            f"the pattern {shown(work.pattern)} was not done after {limit:g} s with a text of"
            f" {len(work.text):,} characters",
            hint="write it without a repetition inside a repetition, as in (a+)+, or shorten the text",
        )
    try:
        found = json.loads(answer)
    except ValueError:
        raise InputError(
            f"the pattern {shown(work.pattern)} could not be carried out: its program ended with exit code"
            f" {child.returncode}",
            hint="most likely it needs too much memory: simplify it, or shorten the text",
        ) from None
    if "refused" in found:
        raise Refused(*found["refused"])
    result: str | bool = found["result"]
    return result


def _answer(
    child: subprocess.Popen[bytes], task: bytes, check_cancelled: Callable[[], None], deadline: float
) -> bytes | None:
    """What the child wrote when it ended; None when the time was over first."""
    rest: bytes | None = task
    while True:
        try:
            return child.communicate(rest, timeout=_TURN)[0]
        except subprocess.TimeoutExpired:
            rest = None  # what is not sent yet goes on being sent
            check_cancelled()
            if time.monotonic() >= deadline:
                return None

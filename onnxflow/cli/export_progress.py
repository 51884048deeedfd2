"""Progress of an export on stderr: one bar with what is being done and the time left; lines where that is no
terminal."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Protocol, TextIO

from onnxflow.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress

    from onnxflow.export.progress import Moment


class Shown(Protocol):
    """What an export is told to say to."""

    def say(self, line: str) -> None:
        """A line that stays."""
        ...

    def show(self, moment: Moment) -> None:
        """How far it is."""
        ...


@contextmanager
def open_export_progress(*, quiet: bool, stream: TextIO) -> Iterator[Shown]:
    """What shows the progress of an export while inside."""
    if quiet:
        yield _Silent()
    elif not stream.isatty():
        yield _Lines(stream)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", markup=False),
        )
        with Progress(*columns, console=Console(file=stream), transient=True) as progress:
            yield _Bar(progress)


class _Silent:
    """Says nothing."""

    def say(self, line: str) -> None:
        """Nothing."""

    def show(self, moment: Moment) -> None:
        """Nothing."""


class _Lines:
    """The lines alone, for log files."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, line: str) -> None:
        """One line; a model's name must not write to the terminal as it likes."""
        with suppress(BrokenPipeError):  # whoever read the lines has left; the export goes on
            print(printable(line), file=self._stream, flush=True)

    def show(self, moment: Moment) -> None:
        """Nothing: what was done is said when it is done."""


class _Bar:
    """The lines above one bar, which fills as the estimated work is done."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, left="")
        self._started: float | None = None

    def say(self, line: str) -> None:
        """One line above the bar, as it is."""
        self._progress.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)

    def show(self, moment: Moment) -> None:
        """The bar as it is now; the time left goes by what this start's work took so far."""
        now = time.monotonic()
        if self._started is None and moment.total:
            self._started = now
        passed = now - self._started if self._started is not None else 0.0
        seconds = seconds_left(moment, passed)
        self._progress.update(
            self._task,
            description=printable(moment.now),
            completed=moment.done,
            total=moment.total or None,
            left=_Countdown(now + seconds) if seconds is not None else "",
        )


class _Countdown:
    """The time left, which goes by while a step takes long."""

    def __init__(self, end: float) -> None:
        self._end = end

    def __str__(self) -> str:
        return f"{clock(max(0.0, self._end - time.monotonic()))} left"


def seconds_left(moment: Moment, passed: float) -> float | None:
    """How long the rest of an export takes if it goes on as in the seconds that have passed; None as long as nothing of
    it is done."""
    worked = moment.done - moment.before
    if worked <= 0 or passed <= 0:
        return None
    return max(0.0, moment.total - moment.done) * passed / worked


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"

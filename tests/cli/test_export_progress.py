"""Progress of an export for people: the same lines for log files and terminals, and a bar for these."""

from __future__ import annotations

import io

import pytest

from onnxflow.cli.export_progress import clock, open_export_progress, seconds_left
from onnxflow.export.progress import Moment, Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, *, quiet: bool = False) -> str:
    with open_export_progress(quiet=quiet, stream=stream) as display:
        progress = Progress(display.say, display.show)
        progress("reading [/b] m\x1b[2J")
        progress.begin("reading what it is")
        progress.start(100.0, 20.0)
        progress.begin("reading unet", 30.0)
        progress.begin("writing unet, fp32", 50.0)
        progress("unet, fp32: 1.0 MB, 1.0e-06 from torch")
        progress.begin("done")
    return stream.getvalue()


def test_a_log_gets_the_lines_and_nothing_else() -> None:
    assert shown(io.StringIO()) == "reading [/b] m\\x1b[2J\nunet, fp32: 1.0 MB, 1.0e-06 from torch\n"


def test_a_terminal_gets_the_same_lines_and_a_bar_with_the_step_and_the_time_left() -> None:
    text = shown(Terminal())
    assert "reading [/b] m\\x1b[2J" in text and "\x1b[2J" not in text
    assert "unet, fp32: 1.0 MB, 1.0e-06 from torch" in text
    assert "100%" in text and "0:00:00 left" in text


def test_quiet_says_nothing() -> None:
    assert shown(io.StringIO(), quiet=True) == shown(Terminal(), quiet=True) == ""


def test_work_counts_when_the_next_begins_and_what_was_resumed_counts_at_once() -> None:
    moments: list[Moment] = []
    progress = Progress(print, moments.append)
    progress.begin("hashing")
    progress.start(100.0, 20.0)
    progress.begin("one", 30.0)
    progress.begin("two", 50.0)
    progress.begin("done")
    assert [(moment.now, moment.done, moment.total) for moment in moments] == [
        ("hashing", 0.0, 0.0), ("one", 20.0, 100.0), ("two", 50.0, 100.0), ("done", 100.0, 100.0),
    ]  # fmt: skip


def test_the_time_left_goes_by_what_this_start_has_done() -> None:
    assert seconds_left(Moment("two", done=50.0, total=100.0, before=20.0), 60.0) == pytest.approx(100.0)
    assert seconds_left(Moment("one", done=20.0, total=100.0, before=20.0), 60.0) is None
    assert seconds_left(Moment("one"), 60.0) is None
    assert (clock(0.0), clock(59.2), clock(3723.0)) == ("0:00:00", "0:01:00", "1:02:03")

"""Progress for people: lines for log files, bars for terminals."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import Any

import pytest
from fakes import workflow

from onnxflow.cli.progress import open_progress
from onnxflow.engine.events import Event
from onnxflow.graph.graph import Graph

GRAPH = workflow(s=("Start", {}), k=("Steps", {})).graph


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, *, quiet: bool = False, pause: float = 0.0) -> str:
    events: list[tuple[str, dict[str, Any]]] = [
        ("executing", {"node": "s"}),
        ("executing", {"node": "k"}),
        ("progress", {"node": "k", "value": 1, "max": 4}),
        ("progress", {"node": "k", "value": 4, "max": 4}),
    ]
    with open_progress(GRAPH, quiet=quiet, stream=stream) as listener:
        for kind, data in events:
            listener(Event(kind, data))
            time.sleep(pause)
        listener(Event("executing", {"node": None}))
    return stream.getvalue()


def test_a_log_gets_a_line_for_each_node() -> None:
    first, second = shown(io.StringIO()).splitlines()
    assert first.startswith("The s (s): 0.0")
    assert second.startswith("The k (k): 0.0")
    assert second.endswith("s, 4 of 4 steps")


def test_a_terminal_keeps_the_bars_of_nodes_that_took_time() -> None:
    assert "4/4" in shown(Terminal(), pause=0.06)
    assert "4/4" not in shown(Terminal())


def test_a_title_is_text_and_nothing_else() -> None:
    graph = workflow(s=("Start", {})).graph
    hostile = Graph({"s": replace(graph.nodes["s"], title="[/b] [red]x\x1b[2J")})
    for stream in (Terminal(), io.StringIO()):
        with open_progress(hostile, quiet=False, stream=stream) as listener:
            listener(Event("executing", {"node": "s"}))
            time.sleep(0.06)
            listener(Event("executing", {"node": None}))
        assert "[/b] [red]x" in stream.getvalue()
        assert "\x1b[2J" not in stream.getvalue()


@pytest.mark.parametrize(("ending", "word"), [("execution_interrupted", "stopped"), ("execution_error", "failed")])
def test_what_did_not_come_to_its_end_is_not_shown_as_done(ending: str, word: str) -> None:
    for stream in (Terminal(), io.StringIO()):
        with open_progress(GRAPH, quiet=False, stream=stream) as listener:
            listener(Event("executing", {"node": "k"}))
            listener(Event("progress", {"node": "k", "value": 1, "max": 4}))
            time.sleep(0.06)
            listener(Event(ending, {"node_id": "k"}))
            listener(Event("executing", {"node": None}))
        shown = stream.getvalue()
        assert "4/4" not in shown
        assert ("1/4" if stream.isatty() else f"The k (k): {word} after 0.0") in shown


def test_quiet_says_nothing() -> None:
    assert shown(io.StringIO(), quiet=True) == shown(Terminal(), quiet=True) == ""

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
        assert ("1/4" if stream.isatty() else f"The k (k): {word} after 0.") in shown


def test_quiet_says_nothing() -> None:
    assert shown(io.StringIO(), quiet=True) == shown(Terminal(), quiet=True) == ""


def session(phase: str, device: str, **seconds: float) -> Event:
    data = {"phase": phase, "component": "unet", "precision": "fp16", "device": device}
    spent = {"load_seconds": 0.0, "read_seconds": 0.25, "compile_seconds": 0.0, "first_seconds": 0.0, **seconds}
    return Event("session", {**data, **spent})


FIRST_RUN = (
    session("loading", "cuda:0"),
    session("ready", "cuda:0", load_seconds=13.0, compile_seconds=12.34),
    session("first", "cuda:0", first_seconds=2.5),
)


def told(stream: io.StringIO, *events: Event) -> str:
    with open_progress(GRAPH, quiet=False, stream=stream) as listener:
        listener(Event("executing", {"node": "k"}))
        for event in events:
            listener(event)
        listener(Event("executing", {"node": None}))
    return stream.getvalue()


def test_a_first_run_is_no_mystery() -> None:
    for stream in (io.StringIO(), Terminal()):
        text = told(stream, *FIRST_RUN)
        assert "unet (fp16) on cuda:0: read in 0.2 s, optimised and compiled in 12.3 s" in text
        assert "unet (fp16) on cuda:0: first call 2.5 s" in text
    assert "The k (k): loading" in told(Terminal(), *FIRST_RUN[:1])


def test_the_cpu_is_news_only_when_it_took_long() -> None:
    quick = told(io.StringIO(), session("ready", "cpu", load_seconds=0.5), session("first", "cpu", first_seconds=9.0))
    assert quick.count("\n") == 1
    assert "unet (fp16) on cpu: read in 0.2 s" in told(io.StringIO(), session("ready", "cpu", load_seconds=8.0))


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_what_a_blocker_says_is_no_failure_and_made_nodes_count_as_their_makers(stream: io.StringIO) -> None:
    with open_progress(GRAPH, quiet=False, stream=stream) as listener:
        listener(Event("executing", {"node": "k", "display_node": "k"}))
        data = {"exception_type": "ExecutionBlocked", "exception_message": "Execution Blocked: enough\x1b[2J"}
        listener(Event("execution_error", {"node_id": "k", **data}))
        listener(Event("executing", {"node": "k.0.0.1", "display_node": "k"}))
        time.sleep(0.06)
        listener(Event("executing", {"node": "made", "display_node": "made"}))
        time.sleep(0.06)
        listener(Event("executing", {"node": None}))
    text = stream.getvalue()
    assert "Execution Blocked: enough\\x1b" in text and "failed" not in text
    assert "The k (k)" in text and "made" in text

"""Progress for people: lines for log files, bars for terminals."""

from __future__ import annotations

import io
from typing import Any

from fakes import workflow
from onnxflow.cli.progress import open_progress
from onnxflow.engine.events import Event

GRAPH = workflow(s=("Start", {}), k=("Steps", {})).graph


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO, *, quiet: bool = False, pause: float = 0.0) -> str:
    import time

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
        listener(Event("execution_success", {}))
    return stream.getvalue()


def test_a_log_gets_a_line_for_each_node() -> None:
    first, second = shown(io.StringIO()).splitlines()
    assert first.startswith("The s (s): 0.0")
    assert second.startswith("The k (k): 0.0")
    assert second.endswith("s, 4 of 4 steps")


def test_a_terminal_keeps_the_bars_of_nodes_that_took_time() -> None:
    assert "4/4" in shown(Terminal(), pause=0.06)
    assert "4/4" not in shown(Terminal())


def test_quiet_says_nothing() -> None:
    assert shown(io.StringIO(), quiet=True) == shown(Terminal(), quiet=True) == ""

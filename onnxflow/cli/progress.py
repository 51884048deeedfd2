"""Progress on stderr: a bar a node with its steps and the time left; plain lines where stderr is no terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from onnxflow.engine.events import Event, Listener
from onnxflow.errors import printable
from onnxflow.graph.graph import Graph

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_AT_ONCE = 0.05  # seconds
_LONG = 1.0
_ENDED_EARLY = {"execution_interrupted": "stopped after ", "execution_error": "failed after "}


@contextmanager
def open_progress(graph: Graph, *, quiet: bool, stream: TextIO) -> Iterator[Listener]:
    """A listener that shows the progress of a run of ``graph`` while inside."""
    if quiet:
        yield _silent
    elif not stream.isatty():
        yield _Lines(graph, stream)
    else:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(file=stream), transient=False) as progress:
            yield _Bars(graph, progress)


def opened(data: Mapping[str, Any]) -> str:
    """One line about a session that is open, or made its first call, where that is news: on another device than the
    CPU, or when it took long."""
    what = printable(f"{data['component']} ({data['precision']}) on {data['device']}")
    away = data["device"] != "cpu"
    if data["phase"] == "ready" and (away or data["load_seconds"] > _LONG):
        built = f", optimised and compiled in {data['compile_seconds']:.1f} s" if data["compile_seconds"] else ""
        return f"{what}: read in {data['read_seconds']:.1f} s{built}"
    if data["phase"] == "first" and away and data["first_seconds"] > _LONG:
        return f"{what}: first call {data['first_seconds']:.1f} s, which compiles what is left"
    return ""


def blocked(event: Event) -> str:
    """One line about a node that a blocker with a message kept from running, which is no end of the run."""
    if event.type != "execution_error" or event.data.get("exception_type") != "ExecutionBlocked":
        return ""
    return printable(str(event.data["exception_message"]))


def _silent(event: Event) -> None:
    """Says nothing."""


def title_of(graph: Graph, node_id: str) -> str:
    """A node as progress and summary name it."""
    node = graph.nodes.get(node_id)
    if node is None:  # one that a node made
        return printable(node_id)
    return printable(f"{node.title or node.class_type} ({node_id})")


class _Lines:
    """One line a node when it is done, for log files."""

    def __init__(self, graph: Graph, stream: TextIO) -> None:
        self._graph = graph
        self._stream = stream
        self._current = ""
        self._started = 0.0
        self._steps = ""

    def __call__(self, event: Event) -> None:
        if event.type == "executing":
            self.finish()
            self._current = event.data.get("display_node", event.data["node"]) or ""
            self._started = time.perf_counter()
        elif event.type == "progress":
            self._steps = f", {event.data['value']} of {event.data['max']} steps" if event.data["max"] > 1 else ""
        elif event.type == "session":
            if line := opened(event.data):
                print(f"  {line}", file=self._stream, flush=True)
        elif line := blocked(event):
            print(f"  {line}", file=self._stream, flush=True)
        elif event.type in _ENDED_EARLY:
            self.finish(_ENDED_EARLY[event.type])

    def finish(self, how: str = "") -> None:
        """Write the line of the node that was running, and ``how`` it ended if not at its end."""
        if self._current:
            seconds = time.perf_counter() - self._started
            title = title_of(self._graph, self._current)
            print(f"{title}: {how}{seconds:.2f} s{self._steps}", file=self._stream, flush=True)
        self._current = self._steps = ""


class _Bars:
    """A bar a node; those of nodes that were done at once disappear again, for a workflow may have thousands."""

    def __init__(self, graph: Graph, progress: Progress) -> None:
        self._graph = graph
        self._progress = progress
        self._task: TaskID | None = None
        self._total = 1
        self._title = ""
        self._started = 0.0

    def __call__(self, event: Event) -> None:
        if event.type == "executing":
            self.finish()
            if event.data["node"] is None:
                return
            self._started = time.perf_counter()
            self._total = 1
            self._title = title_of(self._graph, event.data.get("display_node", event.data["node"]))
            self._task = self._progress.add_task(self._title, total=1)
        elif event.type == "progress" and self._task is not None:
            self._total = event.data["max"]
            self._progress.update(self._task, completed=event.data["value"], total=self._total)
        elif event.type == "session":
            self._session(event.data)
        elif line := blocked(event):
            self._progress.console.print(f"  {line}", markup=False, highlight=False)
        elif event.type in _ENDED_EARLY:
            self._task = None  # the bar stays as it is: the node did not come to its end

    def _session(self, data: Mapping[str, Any]) -> None:
        """Say on the node's bar what is being loaded, and above it what took long."""
        if self._task is not None:
            doing = data["phase"] if data["phase"] in ("loading", "checking") else ""
            loading = f": {doing} {data['component']} on {data['device']}" if doing else ""
            # At once: a library that loads may hold the interpreter until it is done.
            self._progress.update(self._task, description=printable(f"{self._title}{loading}"), refresh=True)
        if line := opened(data):
            self._progress.console.print(f"  {line}", markup=False, highlight=False)

    def finish(self) -> None:
        """Fill the bar of the node that was running, or take it away."""
        if self._task is not None:
            if time.perf_counter() - self._started < _AT_ONCE:
                self._progress.remove_task(self._task)
            else:
                self._progress.update(self._task, completed=self._total)
        self._task = None

"""The texts that a run shows (PreviewAny), for people: on stderr, after the summary."""

from __future__ import annotations

from typing import Final, TextIO

from onnxflow.cli.progress import title_of
from onnxflow.engine.events import Event
from onnxflow.errors import printable
from onnxflow.graph.graph import Graph

MOST_LINES: Final = 40
MOST_CHARACTERS: Final = 4000


class Texts:
    """A listener that keeps what nodes of ``graph`` show as texts, in order."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._found: list[tuple[str, str]] = []

    def __call__(self, event: Event) -> None:
        if event.type == "executed":
            name = title_of(self._graph, event.data.get("display_node", event.data["node"]))
            self._found += [(name, str(text)) for text in event.data["output"].get("text", ())]

    def print(self, stream: TextIO) -> None:
        """Each text after the name of its node; one of several lines below it, what is long cut off, and said so."""
        for name, text in self._found:
            lines = text[:MOST_CHARACTERS].splitlines(keepends=True)[:MOST_LINES]
            left = len(text) - sum(map(len, lines))
            shown = [printable(line.splitlines()[0]) for line in lines] or [""]
            if left:
                shown.append(f"... {left:,} more characters, which --json has")
            if len(shown) == 1:
                print(f"{name}: {shown[0]}", file=stream)
            else:
                print("\n".join([f"{name}:", *(f"  {line}" for line in shown)]), file=stream)

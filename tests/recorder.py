"""A listener that keeps what it is told."""

from __future__ import annotations

from typing import Any

from onnxflow.engine.events import Event


class Recorder:
    """Keeps the events."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def texts(self) -> list[str]:
        return [text for e in self.events if e.type == "executed" for text in e.data["output"].get("text", ())]

    def pairs(self, type_: str) -> list[tuple[str, str]]:
        """Node and display node of the events of a type."""
        found = [event.data for event in self.events if event.type == type_ and event.data["node"]]
        return [(data["node"], data["display_node"]) for data in found]

    def data(self, type_: str) -> list[Any]:
        return [event.data for event in self.events if event.type == type_]

    def nodes(self, type_: str) -> list[str]:
        return [event.data["node"] for event in self.events if event.type == type_ and event.data["node"]]

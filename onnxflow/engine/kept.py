"""The values of a growing run: each is dropped after its last reader, and with a model's last handle its sessions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxflow.engine.cache import Result
from onnxflow.engine.context import Run
from onnxflow.engine.handles import Handles
from onnxflow.engine.live import Item
from onnxflow.values import handle_of


class Kept:
    """The values of all items.

    While a node that sees the graph (DYNPROMPT) has not run, nothing of the workflow's own nodes is dropped: the nodes
    that it makes may read anything. (What was dropped is computed again when somebody asks for it after all.) Nor are
    the values that came of nodes in an item's place, for it cannot make these again.
    """

    def __init__(self, run: Run, items: Mapping[str, Item]) -> None:
        self._items = items
        self._handles = Handles(run.sessions)
        self._seeing = 0

    def begin(self, item: Item) -> None:
        """The item is going to run."""
        self._seeing += _sees_graph(item)

    def end(self, item: Item) -> None:
        """The item has run."""
        if _sees_graph(item):
            self._seeing -= 1
            if not self._seeing:
                for other in self._items.values():
                    if other.parent is None:
                        for slot in range(len(other.values)):
                            self._drop_unread(other, slot)

    def has(self, item: Item) -> bool:
        """Whether what is read of the item's values is there."""
        return item.done and all(
            values is not None or not readers for values, readers in zip(item.values, item.readers, strict=True)
        )

    def value(self, item: Item, slot: int) -> list[Any] | None:
        """An output of the item; None when it is not there."""
        return item.values[slot] if item.done else None

    def outputs(self, item: Item) -> tuple[list[Any], ...]:
        """All outputs of an item of which nothing was dropped."""
        return tuple(values or [] for values in item.values)

    def keep_open(self, linked: Mapping[str, list[Any]]) -> None:
        """The sessions of the models among the values outlive the run."""
        self._handles.keep_open(value for values in linked.values() for value in values)

    def store(self, item: Item, result: Result) -> None:
        """Keep the outputs of the item that somebody will read, or may."""
        item.values = list(result.outputs)
        item.result = Result((), result.saved, result.ui, inner=result.inner)
        for values in result.outputs:
            for value in values:
                handle = handle_of(value)
                if handle is not None:
                    self._handles.hold(handle)
        for slot in range(len(item.values)):
            self._drop_unread(item, slot)

    def read(self, item: Item, slot: int) -> None:
        """One reader of an output less."""
        item.readers[slot] -= 1
        if item.values:
            self._drop_unread(item, slot)

    def _drop_unread(self, item: Item, slot: int) -> None:
        dropped = item.values[slot]
        if dropped is None or item.readers[slot] or item.made or (self._seeing and item.parent is None):
            return
        item.values[slot] = None
        for value in dropped:
            handle = handle_of(value)
            if handle is not None:
                self._handles.let_go(handle)


def _sees_graph(item: Item) -> bool:
    return "DYNPROMPT" in item.step.call.spec.hidden.values()

"""The bar that node packs report their steps with (``comfy.utils.ProgressBar``), as progress of the node that runs."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxflow.nodes.context import Context

running: ContextVar[Context | None] = ContextVar("running_node", default=None)
"""The node whose method runs here."""


class ProgressBar:
    """Counts to ``total``; every step raises Cancelled when the run was stopped."""

    def __init__(self, total: int, node_id: str | None = None) -> None:
        self.total = total
        self.current = 0
        self._node = running.get()

    def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
        """So many are done."""
        self.total = self.total if total is None else total
        self.current = min(value, self.total)
        if self._node is not None:
            self._node.progress(self.current, self.total)

    def update(self, value: int) -> None:
        """So many more are done."""
        self.update_absolute(self.current + value)

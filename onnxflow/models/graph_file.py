"""Where the graph of a component is, for whoever loads it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class GraphFile:
    """An ONNX file; or its bytes in ``data``, whose weights lie in ``path``, a file of another kind.

    ``direct`` says that the weights are as they are stored, and are widened by the graph itself: the file can be mapped
    and left where it is, or be made into what computes fastest, at the price of memory.
    """

    path: Path
    data: bytes | None = None
    direct: bool = False

    @property
    def folder(self) -> Path:
        """The folder that the graph's own names of files are relative to."""
        return self.path.parent

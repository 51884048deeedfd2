"""Workflow: a graph, the document it was read from, and where that came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from onnxflow.graph.graph import Graph


@dataclass(frozen=True, slots=True)
class Workflow:
    """A saved workflow.

    ``document`` is the API-format JSON, kept because pictures carry it; ``extra`` holds what else they carry
    (ComfyUI's ``extra_pnginfo``), the editor's own format among it; ``where`` is the file's name, for errors.
    ``remarks`` is what there is to say of reading it, and ``packs`` names the packs that its nodes come from, by id,
    where it says so.
    """

    graph: Graph
    document: Mapping[str, Any]
    where: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    packs: Mapping[str, str] = field(default_factory=dict)

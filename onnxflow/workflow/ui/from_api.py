"""The API format to the editor's own (contract A1 to A6), so that ``convert.to_api`` gives the same again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from onnxflow.errors import WorkflowError
from onnxflow.graph.graph import Graph
from onnxflow.workflow.api import parse_api
from onnxflow.workflow.definitions import Define
from onnxflow.workflow.ui.drawing import SHOWN, Drawing
from onnxflow.workflow.ui.losses import losses

_NAMESPACE: Final = UUID("5a2f4b66-3a4c-5d0e-9a55-6f6e6e78666c")
_LARGEST_ID: Final = 2**52


@dataclass(frozen=True, slots=True)
class FromApi:
    """The JSON as an editor saves it, version 0.4; what of the API format would not come back from it; and the number
    that stands there for each id."""

    document: Mapping[str, Any]
    remarks: tuple[str, ...]
    ids: Mapping[str, int]


def to_ui(document: Mapping[str, Any], define: Define, where: str) -> FromApi:
    """A workflow in the API format as an editor saves it, with places for its nodes; the same input gives the same
    output. WorkflowError lists every entry that has not the shape of a node.

    Whatever would come back changed, as the editor sends it, is named in the remarks.
    """
    graph = parse_api(document, where)
    try:
        identity = uuid5(_NAMESPACE, json.dumps(document))
    except RecursionError:
        raise WorkflowError(
            "this JSON is nested too deeply to be a workflow",
            where=where,
            hint="a workflow needs about five levels; the file is damaged or hostile",
        ) from None
    ids = numbered(graph)
    drawing = Drawing(graph, ids, define)
    for node in graph.nodes.values():
        drawing.add(node)
    made = drawing.document(str(identity))
    remarks = (*drawing.remarks, *losses(graph, ids, made, define, SHOWN, where))
    return FromApi(made, remarks, ids)


def numbered(graph: Graph) -> dict[str, int]:
    """A number for each id: itself, where it is one that an editor writes so, else one that is free."""
    kept = {key: int(key) for key in graph.nodes if _is_number(key)}
    free = max(kept.values(), default=0)
    found: dict[str, int] = {}
    for key in graph.nodes:
        if key not in kept:
            free += 1
        found[key] = kept.get(key, free)
    return found


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdecimal() and len(key) < 17 and str(int(key)) == key and int(key) < _LARGEST_ID

"""What of a workflow in the API format does not come back from the editor's: found by converting it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from datetime import datetime
from random import Random
from typing import Any, Final

from onnxflow.errors import shown
from onnxflow.graph.graph import BadLink, Graph, Link, Node
from onnxflow.workflow.api import parse_api
from onnxflow.workflow.definitions import Define
from onnxflow.workflow.ui.convert import Circumstances, to_api

_ANY_TIME: Final = datetime(2000, 1, 1)
_MISSING: Final = object()
_LARGEST_EXACT: Final = 2**53


def losses(
    graph: Graph,
    ids: Mapping[str, int],
    made: Mapping[str, Any],
    define: Define,
    passed: Mapping[str, Set[str]],
    where: str,
) -> Iterator[str]:
    """A sentence for everything that is otherwise in the graph that ``made``, the editor's JSON, is converted to, whose
    nodes have other ``ids``. ``passed`` are inputs by class that need not come back."""
    found = parse_api(to_api(made, define, Circumstances(Random(0), _ANY_TIME), where).document, where)
    for node in graph.nodes.values():
        back = found.nodes.get(str(ids[node.id]))
        if back is None:
            yield f"{node.ref}: the editor has a node of its own of this name: it does not come back"
            continue
        if back.class_type != node.class_type:
            yield f"{node.ref}: the class is called {back.class_type} today"
        expected = {
            name: _renumbered(value, ids)
            for name, value in node.inputs.items()
            if name not in passed.get(node.class_type, ())
        }
        for name, value in expected.items():
            returned = back.inputs.get(name, _MISSING)
            if not _same(value, returned):
                yield _lost(node, name, value, returned)
        added = [name for name in back.inputs if name not in node.inputs]
        if added:
            names = ", ".join(repr(name) for name in added)
            yield f"{node.ref}: {names} had no value, and has the one that editors put into a new node"


def _renumbered(value: Any, ids: Mapping[str, int]) -> Any:
    return Link(str(ids[value.node]), value.slot) if isinstance(value, Link) and value.node in ids else value


def _same(value: Any, returned: Any) -> bool:
    return value is returned or (type(value) is type(returned) and bool(value == returned))


def _lost(node: Node, name: str, value: Any, returned: Any) -> str:
    start = f"{node.ref}: {name!r}"
    if isinstance(value, BadLink):
        return f"{start} is a list that is no link, {shown(value.value, 40)}, which the editor's format does not have"
    if isinstance(value, Link):
        return f"{start} is linked to node {shown(value.node, 40)}, which does not come back: the link is left out"
    if returned is _MISSING:
        return f"{start} is {shown(value, 40)}, which does not come back"
    why = ""
    if type(value) is int and abs(value) > _LARGEST_EXACT:
        why = ": an editor's numbers are exact up to 2**53"
    elif isinstance(value, str) and "%" in value:
        why = ": an editor replaces what is between percent signs"
    elif isinstance(value, str) and "\\{" in value:
        why = ": an editor takes one backslash before a brace away"
    return f"{start} is {shown(value, 40)}, and comes back as {shown(returned, 40)}{why}"

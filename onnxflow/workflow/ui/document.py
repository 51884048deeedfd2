"""The JSON that the editor saves, as frozen data: version 0.4, schema 1, and the subgraphs inside either.

Unknown keys are passed over, as the editor does. What would be guessed at is a problem instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from onnxflow.errors import NodeRef, Problem, WorkflowError, shown

INPUT_NODE: Final = "-10"
"""Where the links of a subgraph begin that come from outside."""
OUTPUT_NODE: Final = "-20"
"""Where the links of a subgraph end that lead outside."""

ALWAYS, MUTED, BYPASSED = 0, 2, 4


class UiSlot(NamedTuple):
    """A socket of a node: of an input the id of its link, and the widget that it stands for."""

    name: str
    type: str
    link: str | None = None
    widget: str | None = None


class UiLink(NamedTuple):
    """From an output to an input, both by node id and number."""

    id: str
    origin: str
    origin_slot: int
    target: str
    target_slot: int


@dataclass(frozen=True, slots=True)
class UiNode:
    """A node as it is saved. ``widgets`` are the values typed in: in the editor's order, or by name, or none."""

    id: str
    type: str
    mode: int
    inputs: tuple[UiSlot, ...]
    outputs: tuple[UiSlot, ...]
    widgets: Sequence[Any] | Mapping[str, Any] | None
    title: str
    properties: Mapping[str, Any]

    @property
    def ref(self) -> NodeRef:
        """How messages name it."""
        return NodeRef(self.id, self.type, self.title)


@dataclass(frozen=True, slots=True)
class UiGraph:
    """Nodes and links by id, in the order of the file; ``inputs`` and ``outputs`` are a subgraph's own sockets, and
    ``leaving`` its links that lead outside, by the number of the output."""

    name: str
    nodes: Mapping[str, UiNode]
    links: Mapping[str, UiLink]
    inputs: tuple[UiSlot, ...] = ()
    outputs: tuple[UiSlot, ...] = ()
    leaving: Mapping[int, UiLink] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UiDocument:
    """A saved workflow: the graph, the subgraphs by id, and the older group nodes by name, as they stand there."""

    root: UiGraph
    subgraphs: Mapping[str, UiGraph]
    groups: Mapping[str, Any]


def read_document(document: Mapping[str, Any], where: str) -> UiDocument:
    """The workflow in the editor's JSON; WorkflowError lists every entry that has not the shape of what it should
    be."""
    problems: list[Problem] = []
    root = read_graph(document, "", problems)
    subgraphs: dict[str, UiGraph] = {}
    waiting = [document]
    while waiting:  # definitions mostly lie in the root, and may lie in each other
        for found in _list(_object(waiting.pop().get("definitions")).get("subgraphs")):
            if isinstance(found, dict) and isinstance(found.get("id"), str) and found["id"] not in subgraphs:
                name = found.get("name")
                subgraphs[found["id"]] = read_graph(found, name if isinstance(name, str) else found["id"], problems)
                waiting.append(found)
    if problems:
        raise WorkflowError("this is not a workflow that an editor saved", problems=problems, where=where)
    return UiDocument(root, subgraphs, _object(_object(document.get("extra")).get("groupNodes")))


def read_graph(document: Mapping[str, Any], name: str, problems: list[Problem]) -> UiGraph:
    """A graph or the definition of a subgraph; what is wrong is appended to ``problems``."""
    nodes: dict[str, UiNode] = {}
    for entry in _list(document.get("nodes")):
        node = read_node(entry, name, problems)
        if node is None:
            continue
        if node.id in nodes:
            problems.append(_problem(name, "Two nodes have one id", f"Node ID '#{node.id}'", node.ref))
        nodes[node.id] = node
    links: dict[str, UiLink] = {}
    for entry in _list(document.get("links")):
        link = _link(entry, name, problems)
        if link is not None:
            links[link.id] = link
    return UiGraph(
        name=name,
        nodes=nodes,
        links=links,
        inputs=_slots(document.get("inputs")),
        outputs=_slots(document.get("outputs")),
        leaving={link.target_slot: link for link in links.values() if link.target == OUTPUT_NODE},
    )


def read_node(entry: Any, graph: str, problems: list[Problem]) -> UiNode | None:
    """A node, None for what is none."""
    if not isinstance(entry, dict):
        problems.append(_problem(graph, "An entry is not a node", shown(entry, 60)))
        return None
    node_id, type_ = identity(entry.get("id")), entry.get("type")
    if node_id is None or not isinstance(type_, str):
        problems.append(
            _problem(graph, "A node has no id or no type", f"id {shown(entry.get('id'), 40)}, type {shown(type_, 40)}")
        )
        return None
    mode, title, widgets = entry.get("mode"), entry.get("title"), entry.get("widgets_values")
    return UiNode(
        id=node_id,
        type=type_,
        mode=int(mode) if isinstance(mode, (int, float)) and mode in (MUTED, BYPASSED) else ALWAYS,
        inputs=_slots(entry.get("inputs")),
        outputs=_slots(entry.get("outputs")),
        widgets=widgets if isinstance(widgets, (list, dict)) else None,
        title=title if isinstance(title, str) else "",
        properties=_object(entry.get("properties")),
    )


def identity(value: Any) -> str | None:
    """An id as text: whole numbers and texts are ids."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value:
        return None
    return str(int(value)) if abs(value) < 2**53 and value == int(value) else None


def _slots(entries: Any) -> tuple[UiSlot, ...]:
    return tuple(_slot(entry) for entry in _list(entries) if isinstance(entry, dict))


def _slot(entry: Mapping[str, Any]) -> UiSlot:
    name, kind, widget = entry.get("name"), entry.get("type"), _object(entry.get("widget")).get("name")
    return UiSlot(
        name if isinstance(name, str) else "",
        kind if isinstance(kind, str) else "COMBO" if isinstance(kind, list) else "*",
        identity(entry.get("link")),
        widget if isinstance(widget, str) else None,
    )


def _link(entry: Any, graph: str, problems: list[Problem]) -> UiLink | None:
    """A link in either form; None for one that is not there, which older files have."""
    if entry is None:
        return None
    if isinstance(entry, dict):
        parts = [entry.get(key) for key in ("id", "origin_id", "origin_slot", "target_id", "target_slot")]
    else:
        parts = list(entry[:5]) if isinstance(entry, list) else []
    ends = [identity(part) for part in parts[:2] + parts[3:4]]
    slots = [parts[at] if at < len(parts) else None for at in (2, 4)]
    if len(ends) != 3 or None in ends or not all(isinstance(slot, (int, float)) for slot in slots):
        problems.append(_problem(graph, "An entry is not a link", shown(entry, 60)))
        return None
    numbers = [int(slot) if isinstance(slot, int) or slot == slot // 1 else -1 for slot in slots]  # type: ignore[operator]
    return UiLink(str(ends[0]), str(ends[1]), numbers[0], str(ends[2]), numbers[1])


def _problem(graph: str, what: str, details: str, node: NodeRef | None = None) -> Problem:
    return Problem("invalid_prompt", what, f"{details} in the subgraph {shown(graph, 60)}" if graph else details, node)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

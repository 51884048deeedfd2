"""Graphs inside graphs: every instance of a subgraph and of a group node, with the path of ids that leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from onnxflow.errors import WorkflowError, shown
from onnxflow.workflow.definitions import Define
from onnxflow.workflow.ui.document import BYPASSED, INPUT_NODE, MUTED, UiDocument, UiGraph, UiNode
from onnxflow.workflow.ui.group import group_graph, group_name

MOST_NODES: Final = 1_000_000
"""Nodes of a whole workflow, with those of every instance of its subgraphs."""

MOST_PARTS: Final = 2_000_000
"""Sockets, links and values of every instance of its subgraphs."""

CONTROL: Final = "control_after_generate"
"""The widget beside a seed that no server is told of."""

OWN: Final = "-1"
"""What proxyWidgets call an input of the instance itself."""

DEEPEST: Final = 100
"""Subgraphs inside each other."""


@dataclass(slots=True, eq=False)
class Scope:
    """One graph as it is used once: the whole workflow, or an instance of a subgraph or a group node.

    ``promoted`` are values that are typed into the instance for widgets inside, by the names of its inputs;
    ``written`` are values that another node writes into a widget, by node and widget. ``silent``: it lies in a muted or
    bypassed group node, of which nothing is sent.
    """

    graph: UiGraph
    path: tuple[str, ...] = ()
    parent: Scope | None = None
    instance: UiNode | None = None
    promoted: Mapping[str, Any] = field(default_factory=dict)
    children: dict[str, Scope] = field(default_factory=dict)
    written: dict[str, dict[str, Any]] = field(default_factory=dict)
    silent: bool = False

    def id_of(self, node_id: str) -> str:
        """A node's id in the API format: its own behind those of the instances that it lies in."""
        return ":".join((*self.path, node_id))


def open_scopes(document: UiDocument, define: Define, where: str) -> Scope:
    """The whole workflow with all instances; WorkflowError for a subgraph that contains itself, or too many nodes."""
    root = Scope(document.root)
    nodes, parts = len(root.graph.nodes), 0
    sizes = {key: _parts(graph) for key, graph in document.subgraphs.items()}
    names = {key: _promoted_names(graph) for key, graph in document.subgraphs.items()}
    waiting = [(root, frozenset[str]())]
    while waiting:
        scope, above = waiting.pop()
        for node in scope.graph.nodes.values():
            found = _graph_of(node, document, define)
            if found is None:
                continue
            key, graph, read = found
            if key in above or len(scope.path) >= DEEPEST:
                what = "contains itself" if key in above else f"lies more than {DEEPEST} subgraphs deep"
                raise WorkflowError(
                    f"the subgraph {shown(graph.name, 60)} {what}: {node.ref}",
                    where=where,
                    hint="remove that instance: it would never end",
                )
            nodes += len(graph.nodes)
            parts += sizes[key] if key in sizes else _parts(graph) + read
            if nodes > MOST_NODES or parts > MOST_PARTS:
                raise WorkflowError(
                    f"the workflow has more than {MOST_NODES:,} nodes with those of its subgraphs, or "
                    f"{MOST_PARTS:,} sockets, links and values in these",
                    where=where,
                    hint="subgraphs that hold each other several times grow beyond every bound: remove some",
                )
            promoted, written = _values_of(node, names.get(key, ()))
            silent = scope.silent or (key not in sizes and node.mode in (MUTED, BYPASSED))
            child = Scope(graph, (*scope.path, node.id), scope, node, promoted, written=written, silent=silent)
            scope.children[node.id] = child
            waiting.append((child, above | {key}))
    return root


def every_scope(root: Scope) -> Iterator[Scope]:
    """All scopes, each before those inside it."""
    waiting = [root]
    while waiting:
        scope = waiting.pop()
        yield scope
        waiting.extend(reversed(scope.children.values()))


def _graph_of(node: UiNode, document: UiDocument, define: Define) -> tuple[str, UiGraph, int] | None:
    """The graph that a node stands for, what tells it from others, and how many entries were read to make it; None for
    a node that stands for itself."""
    if node.type in document.subgraphs:
        return node.type, document.subgraphs[node.type], 0
    name = group_name(node.type)
    group = document.groups.get(name) if name else None
    if not isinstance(group, Mapping):
        return None
    read = sum(len(value) for value in group.values() if isinstance(value, list))
    return f"group {name}", group_graph(name, group, node, define), read


def _values_of(instance: UiNode, names: Sequence[str]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The values that are typed into an instance: for its inputs, by name, and for widgets of nodes inside, by node.
    Newer editors say what each is for in ``proxyWidgets``; null stands for what the node inside has."""
    values = instance.widgets if isinstance(instance.widgets, list) else []
    proxies = instance.properties.get("proxyWidgets")
    if not isinstance(proxies, list) or not proxies:
        return {name: value for name, value in zip(names, values, strict=False) if value is not None}, {}
    promoted: dict[str, Any] = {}
    written: dict[str, dict[str, Any]] = {}
    for entry, value in zip(proxies, values, strict=False):
        if value is None or not isinstance(entry, list) or len(entry) != 2 or entry[1] == CONTROL:
            continue
        inner, name = map(str, entry)
        if inner == OWN:
            promoted[name] = value
        else:
            written.setdefault(inner, {})[name] = value
    return promoted, written


def _parts(graph: UiGraph) -> int:
    """How much there is to a graph beside its nodes."""
    own = len(graph.links) + len(graph.inputs) + len(graph.outputs)
    return own + sum(len(node.inputs) + len(node.outputs) + len(node.widgets or ()) for node in graph.nodes.values())


def _promoted_names(graph: UiGraph) -> list[str]:
    """The inputs of a subgraph that lead to a widget: an instance has a value for each, in this order."""
    leading = {link.origin_slot: link for link in graph.links.values() if link.origin == INPUT_NODE}
    widgets = {(node.id, one.link) for node in graph.nodes.values() for one in node.inputs if one.widget}
    found = []
    for number, slot in enumerate(graph.inputs):
        link = leading.get(number)
        if link is not None and (link.target, link.id) in widgets:
            found.append(slot.name)
    return found

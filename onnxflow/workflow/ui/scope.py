"""Graphs inside graphs: every instance of a subgraph and of a group node, with the path of ids that leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from onnxflow.errors import WorkflowError, shown
from onnxflow.workflow.definitions import Define
from onnxflow.workflow.ui.document import INPUT_NODE, UiDocument, UiGraph, UiNode
from onnxflow.workflow.ui.group import group_graph, group_name

MOST_NODES: Final = 1_000_000
"""Nodes of a whole workflow, with those of every instance of its subgraphs."""

DEEPEST: Final = 100
"""Subgraphs inside each other."""


@dataclass(slots=True, eq=False)
class Scope:
    """One graph as it is used once: the whole workflow, or an instance of a subgraph or a group node.

    ``promoted`` are values that are typed into the instance for widgets inside, by the names of its inputs;
    ``written`` are values that another node writes into a widget, by node and widget.
    """

    graph: UiGraph
    path: tuple[str, ...] = ()
    parent: Scope | None = None
    instance: UiNode | None = None
    promoted: Mapping[str, Any] = field(default_factory=dict)
    children: dict[str, Scope] = field(default_factory=dict)
    written: dict[tuple[str, str], Any] = field(default_factory=dict)

    def id_of(self, node_id: str) -> str:
        """A node's id in the API format: its own behind those of the instances that it lies in."""
        return ":".join((*self.path, node_id))


def open_scopes(document: UiDocument, define: Define, where: str) -> Scope:
    """The whole workflow with all instances; WorkflowError for a subgraph that contains itself, or too many nodes."""
    root = Scope(document.root)
    count = 0
    waiting = [(root, frozenset[str]())]
    while waiting:
        scope, above = waiting.pop()
        count += len(scope.graph.nodes)
        if count > MOST_NODES:
            raise WorkflowError(
                f"the workflow has more than {MOST_NODES:,} nodes with those of its subgraphs",
                where=where,
                hint="subgraphs that hold each other several times grow beyond every bound: remove some",
            )
        for node in scope.graph.nodes.values():
            found = _graph_of(node, document, define)
            if found is None:
                continue
            key, graph = found
            if key in above or len(scope.path) >= DEEPEST:
                what = "contains itself" if key in above else f"lies more than {DEEPEST} subgraphs deep"
                raise WorkflowError(
                    f"the subgraph {shown(graph.name, 60)} {what}: {node.ref}",
                    where=where,
                    hint="remove that instance: it would never end",
                )
            promoted = _promoted(graph, node) if node.type in document.subgraphs else {}
            child = Scope(graph, (*scope.path, node.id), scope, node, promoted)
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


def _graph_of(node: UiNode, document: UiDocument, define: Define) -> tuple[str, UiGraph] | None:
    """The graph that a node stands for, and what tells it from others; None for a node that stands for itself."""
    if node.type in document.subgraphs:
        return node.type, document.subgraphs[node.type]
    name = group_name(node.type)
    group = document.groups.get(name) if name else None
    return (f"group {name}", group_graph(name, group, node, define)) if isinstance(group, Mapping) else None


def _promoted(graph: UiGraph, instance: UiNode) -> dict[str, Any]:
    """The values of an instance: one for each input of the subgraph that leads to a widget, in their order."""
    leading = {link.origin_slot: link for link in graph.links.values() if link.origin == INPUT_NODE}
    names = []
    for number, slot in enumerate(graph.inputs):
        link = leading.get(number)
        target = graph.nodes.get(link.target) if link is not None else None
        if link is None or target is None:
            continue
        if any(one.link == link.id and one.widget for one in target.inputs):
            names.append(slot.name)
    values = instance.widgets if isinstance(instance.widgets, list) else []
    return dict(zip(names, values, strict=False))

"""Group nodes, which came before subgraphs (contract A8): a node that stands for several, saved beside the graph.

Its sockets and values are those of the nodes inside, one after the other. It is read as a subgraph.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onnxflow.errors import Problem
from onnxflow.workflow.definitions import Define
from onnxflow.workflow.ui.document import INPUT_NODE, OUTPUT_NODE, UiGraph, UiLink, UiNode, UiSlot, read_node
from onnxflow.workflow.ui.widgets import rebuilt, width_of

PRIMITIVE = "PrimitiveNode"
_PREFIXES = ("workflow>", "workflow/")


def group_name(type_: str) -> str:
    """The name of the group that a node of this type is an instance of; empty for other nodes."""
    return next((type_.removeprefix(prefix) for prefix in _PREFIXES if type_.startswith(prefix)), "")


def group_graph(name: str, group: Mapping[str, Any], instance: UiNode, define: Define) -> UiGraph:
    """The nodes of a group with the values of one instance; its links that come from outside begin at INPUT_NODE."""
    nodes = _nodes(group)
    inner = _inner_links(group)
    leading = {(link.target, link.target_slot): link for link in reversed(inner)}
    given = {(link.origin, link.origin_slot) for link in inner}
    shown_outside = {(str(e[0]), e[1]) for e in _lists(group.get("external")) if [*map(type, e[:2])] == [int, int]}
    config = group.get("config")
    settings: Mapping[str, Any] = config if isinstance(config, Mapping) else {}
    values = instance.widgets if isinstance(instance.widgets, list) else []
    used = 0  # of the instance's values, by the nodes before
    names: dict[str, int] = {}
    made: dict[str, UiNode] = {}
    links: dict[str, UiLink] = {}
    inputs: list[UiSlot] = []
    outputs: list[UiSlot] = []
    for node in nodes:
        definition = define(node.type)
        slots = rebuilt(definition, node)
        positions = {slot.name: at for at, slot in enumerate(node.inputs)}
        linked: list[UiSlot] = []
        for slot in slots:
            source = leading.get((node.id, positions.get(slot.name, -1)))
            if source is not None:
                links[source.id] = source
                linked.append(slot._replace(link=source.id))
                continue
            if _hidden(settings, node.id, "input", slot.name):
                linked.append(slot._replace(link=None))
                continue
            outer = _outer_name(slot.name, node, names)
            link = UiLink(f"in {len(inputs)}", INPUT_NODE, len(inputs), node.id, len(linked))
            links[link.id] = link
            inputs.append(UiSlot(outer, slot.type, None, outer if slot.widget else None))
            linked.append(slot._replace(link=link.id))
        own: list[Any] = list(node.widgets) if isinstance(node.widgets, list) else []
        if definition is not None:
            at = 0
            for widget in definition.widgets:
                width = width_of(widget)
                open_here = not _hidden(settings, node.id, "input", widget.name)
                if open_here and (node.id, positions.get(widget.name, -1)) not in leading and used < len(values):
                    own[at : at + width] = values[used : used + width]
                    used += width
                at += width
        elif node.type == PRIMITIVE and used < len(values):
            count = len(own)
            own = values[used : used + count]
            used += count
        made[node.id] = replace(node, inputs=tuple(linked), widgets=own)
        kinds = [(o.name, o.type) for o in definition.outputs] if definition is not None else []
        for slot_number, (output, kind) in enumerate(kinds or [(o.name, o.type) for o in node.outputs]):
            inside = (node.id, slot_number) in given and (node.id, slot_number) not in shown_outside
            if inside or _hidden(settings, node.id, "output", str(slot_number)):
                continue
            link = UiLink(f"out {len(outputs)}", node.id, slot_number, OUTPUT_NODE, len(outputs))
            links[link.id] = link
            outputs.append(UiSlot(output, kind))
    leaving = {link.target_slot: link for link in links.values() if link.target == OUTPUT_NODE}
    return UiGraph(name, made, links, tuple(inputs), tuple(outputs), leaving)


def _nodes(group: Mapping[str, Any]) -> list[UiNode]:
    problems: list[Problem] = []  # of what no editor writes: such an entry is no node of the group
    found = group.get("nodes")
    nodes = []
    for index, entry in enumerate(found if isinstance(found, list) else []):
        node = read_node({**entry, "id": index} if isinstance(entry, dict) else entry, "", problems)
        if node is not None:
            nodes.append(node)
    return nodes


def _inner_links(group: Mapping[str, Any]) -> list[UiLink]:
    """Links between the nodes: [from, output, to, input, ...]; those that only come or go have no number there."""
    found = []
    for at, entry in enumerate(_lists(group.get("links"))):
        ends = entry[:4]
        if len(ends) == 4 and all(type(end) is int for end in ends):
            found.append(UiLink(f"inner {at}", str(ends[0]), ends[1], str(ends[2]), ends[3]))
    return found


def _outer_name(name: str, node: UiNode, names: dict[str, int]) -> str:
    """The name that an input has on the group: its own, or behind its node's title if another one has that."""
    outer = name
    if name in names or (node.type == PRIMITIVE and node.title):
        prefix = f"{node.title or node.type} "
        outer = prefix + name
        if outer in names:
            names[outer] += 1
            return f"{prefix}{names[outer] - 1} {name}"
    names[outer] = names.get(outer, 1) + 1
    return outer


def _hidden(settings: Mapping[str, Any], node_id: str, section: str, name: str) -> bool:
    found: Any = settings
    for key in (node_id, section, name):
        found = found.get(key) if isinstance(found, Mapping) else None
    return isinstance(found, Mapping) and found.get("visible") is False


def _lists(value: Any) -> list[list[Any]]:
    return [entry for entry in value if isinstance(entry, list)] if isinstance(value, list) else []

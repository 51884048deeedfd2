"""Nodes that a node made while the workflow ran (ComfyUI's expansion), read and bound without being checked.

ComfyUI takes them as they are, values of any kind included, and so do we; only what cannot run at all is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from onnxflow.errors import InputError, Problem, did_you_mean, shown
from onnxflow.graph.graph import Link, Node
from onnxflow.models.disk import Disk
from onnxflow.nodes.spec import MISSING, Input, NodeSpec
from onnxflow.workflow.check import Call, Catalog
from onnxflow.workflow.literals import parse_literal

Known = Callable[[str], NodeSpec | None]

_SCALARS = (bool, int, float, str)
_TYPED = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN"})
_SHAPE = 'write {"id": {"class_type": "Class", "inputs": {"name": value or ["id", output]}}}'


def link_in(value: Any) -> Link | None:
    """The link that a value is: a list of a text and a whole number."""
    if type(value) is Link:
        return value
    if type(value) is list and len(value) == 2 and type(value[0]) is str and type(value[1]) in (int, float):
        slot = value[1]
        return Link(value[0], int(slot)) if slot == slot // 1 else None
    return None


def parse_made(document: Any) -> dict[str, Node]:
    """The nodes in an expansion; InputError when one has not the shape of a node."""
    if not isinstance(document, Mapping):
        raise InputError(f"an expansion is {shown(document)}, and not nodes by id", hint=_SHAPE)
    nodes = {}
    for node_id, entry in document.items():
        class_type = entry.get("class_type") if isinstance(entry, Mapping) else None
        inputs = entry.get("inputs", {}) if isinstance(entry, Mapping) else None
        if type(node_id) is not str or type(class_type) is not str or not isinstance(inputs, Mapping):
            raise InputError(f"the expansion's {shown(node_id)} is no node: {shown(entry)}", hint=_SHAPE)
        parsed = {name: value if (link := link_in(value)) is None else link for name, value in inputs.items()}
        nodes[node_id] = Node(node_id, class_type, parsed)
    return nodes


def spec_of(node: Node, catalog: Catalog) -> NodeSpec:
    """The class of a node in an expansion; InputError when there is none of that name."""
    spec = catalog.get(node.class_type)
    if spec is None:
        raise InputError(
            f"the expansion's node {node.id} is of class {shown(node.class_type)}, which does not exist",
            hint=did_you_mean(node.class_type, catalog, what="node classes", limit=60),
        )
    return spec


def bind_made(node: Node, spec: NodeSpec, known: Known, disk: Disk) -> Call:
    """The call of a node in an expansion; ``known`` gives the class of a node that it may link to, None for others.

    InputError when a link leads nowhere, or an input that the class must have is missing.
    """
    literals: dict[str, Any] = {}
    links: list[tuple[str, Link]] = []
    for declared in (*spec.inputs, *_undeclared(node, spec)):
        value = node.inputs.get(declared.name, MISSING)
        if type(value) is Link:
            _check_link(node, declared.name, value, known)
            links.append((declared.name, value))
        elif value is not MISSING:
            literals[declared.name] = _literal(node, declared, value, disk)
        elif declared.required and declared.default is MISSING:
            raise InputError(f"the expansion's node {node.id} ({spec.name}) has no {declared.name}")
    return Call(node, spec, literals, tuple(links))


def _undeclared(node: Node, spec: NodeSpec) -> list[Input]:
    if spec.undeclared is None:
        return []
    found = [spec.undeclared(name) for name in node.inputs if name not in spec.by_name]
    return [item for item in found if item is not None and (item.free or type(node.inputs[item.name]) is Link)]


def _literal(node: Node, declared: Input, value: Any, disk: Disk) -> Any:
    """A value as it is, but for numbers and texts, which are made what the class declares."""
    if declared.type not in _TYPED or type(value) not in _SCALARS:
        return value
    parsed = parse_literal(declared, value, node, disk, bounded=False)
    if type(parsed) is Problem:
        raise InputError(f"the expansion's node {node.id}: {parsed.message}: {parsed.details}", hint=parsed.hint)
    return parsed


def _check_link(node: Node, name: str, link: Link, known: Known) -> None:
    origin = known(link.node)
    if origin is None:
        raise InputError(
            f"the expansion's node {node.id} links its {name} to node {shown(link.node)}, which is not in the run",
            hint="link to nodes of the expansion, or to what the node that makes it is linked to",
        )
    if not 0 <= link.slot < len(origin.outputs):
        raise InputError(
            f"the expansion's node {node.id} links its {name} to output {link.slot} of node {link.node} "
            f"({origin.name}), which has {len(origin.outputs)}"
        )

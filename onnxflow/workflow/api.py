"""ComfyUI's API format -> Graph (contract A1): node id -> {class_type, inputs, _meta}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxflow.errors import Problem, WorkflowError, shown
from onnxflow.graph.graph import BadLink, Graph, Link, Node


def parse_api(document: Mapping[str, Any], where: str) -> Graph:
    """The graph in an API-format object; WorkflowError lists every entry that has not the shape of a node."""
    nodes: dict[str, Node] = {}
    problems: list[Problem] = []
    for node_id, entry in document.items():
        node = _node(node_id, entry)
        if isinstance(node, Problem):
            problems.append(node)
        else:
            nodes[node_id] = node
    if problems:
        raise WorkflowError("this is not a workflow in the API format", problems=problems, where=where)
    return Graph(nodes)


def _node(node_id: str, entry: Any) -> Node | Problem:
    if type(entry) is not dict:
        return Problem("invalid_prompt", "An entry is not a node", f"Node ID '#{node_id}' is {shown(entry, 60)}")
    class_type = entry.get("class_type", "")
    inputs = entry.get("inputs", {})
    if type(class_type) is not str:
        return Problem(
            "invalid_prompt", "A node's class_type is not a text", f"Node ID '#{node_id}': {shown(class_type, 60)}"
        )
    if type(inputs) is not dict:
        return Problem("invalid_prompt", "A node's inputs are not an object", f"Node ID '#{node_id}'")
    meta = entry.get("_meta")
    title = meta.get("title", "") if type(meta) is dict else ""
    parsed = {
        name: parse_input(value) if type(value) is list or type(value) is dict else value
        for name, value in inputs.items()
    }
    place = place_in(meta) if type(meta) is dict else ""
    if type(place) is not str:
        return Problem(
            "invalid_prompt",
            "A node's place is not a text",
            f"Node ID '#{node_id}': {shown(place, 60)}",
            hint='write "_meta": {"onnxflow": {"place": "cuda:0"}}',
        )
    return Node(node_id, class_type, parsed, title if type(title) is str else "", place)


def place_in(meta: Mapping[str, Any]) -> Any:
    """What ``_meta`` says of a node's place: ``onnxflow.place``, as an object in an object or as one key."""
    ours = meta.get("onnxflow")
    if ours is None:
        ours = {}
    if type(ours) is not dict:
        return {"onnxflow": ours}  # to be refused as it stands there
    return ours.get("place", meta.get("onnxflow.place", ""))


def parse_input(value: Any) -> Any:
    """A list is a link (or a bad one); ``{"__value__": [...]}`` is how a list is written as a value."""
    if type(value) is list:
        if len(value) == 2 and type(value[0]) is str and type(value[1]) in (int, float) and value[1] == value[1] // 1:
            return Link(value[0], int(value[1]))
        return BadLink(value)
    if type(value) is dict and len(value) == 1 and "__value__" in value:
        return value["__value__"]
    return value

"""Graph, Node and Link: a workflow as frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from onnxflow.errors import NodeRef


class Link(NamedTuple):
    """The output ``slot`` of the node ``node``, as the value of an input."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class BadLink:
    """A JSON array in an input that is no link, kept so that checking can report it with everything else."""

    value: list[Any]


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its class and its inputs, each a Link, a BadLink or a JSON value. ``class_type`` is "" when absent;
    ``place`` is what the file says of where the node, or a model that it loads, shall run."""

    id: str
    class_type: str
    inputs: Mapping[str, Any]
    title: str = ""
    place: str = ""

    @property
    def ref(self) -> NodeRef:
        """How errors name this node."""
        return NodeRef(self.id, self.class_type, self.title)


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes by id, in the order of the file."""

    nodes: Mapping[str, Node]

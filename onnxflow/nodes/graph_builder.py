"""Building the nodes that a node has run in its place: GraphBuilder, by the names that node packs import it by
(``comfy_execution.graph_utils``)."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

_prefix: ContextVar[tuple[str, int]] = ContextVar("graph_builder_prefix", default=("", 0))
_graphs: ContextVar[list[int] | None] = ContextVar("graph_builder_graphs", default=None)


def is_link(value: Any) -> bool:
    """Whether a value is a link to an output: a list of a text and a number."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and type(value[1]) in (int, float)


class Node:
    """One node under construction."""

    def __init__(self, id: str, class_type: str, inputs: Mapping[str, Any]) -> None:
        self.id = id
        self.class_type = class_type
        self.inputs = dict(inputs)
        self.override_display_id: str | None = None

    def out(self, index: int) -> list[Any]:
        """A link to an output."""
        return [self.id, index]

    def set_input(self, key: str, value: Any) -> None:
        """Set an input; None takes it away."""
        if value is None:
            self.inputs.pop(key, None)
        else:
            self.inputs[key] = value

    def get_input(self, key: str) -> Any:
        return self.inputs.get(key)

    def set_override_display_id(self, override_display_id: str) -> None:
        """The node that clients show this one at."""
        self.override_display_id = override_display_id

    def serialize(self) -> dict[str, Any]:
        """The node in the API format."""
        entry: dict[str, Any] = {"class_type": self.class_type, "inputs": dict(self.inputs)}
        if self.override_display_id is not None:
            entry["override_display_id"] = self.override_display_id
        return entry


class GraphBuilder:
    """Nodes under ids that begin with ``prefix``; without one, with those of the node that is running and its call, so
    that no other has them."""

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = GraphBuilder.alloc_prefix() if prefix is None else prefix
        self.nodes: dict[str, Node] = {}
        self.id_gen = 1

    @classmethod
    def set_default_prefix(cls, prefix_root: str, call_index: int, graph_index: int = 0) -> None:
        """Called before each call of a node, with its id and the number of the call."""
        _prefix.set((prefix_root, call_index))
        _graphs.set([graph_index])

    @classmethod
    def alloc_prefix(
        cls, root: str | None = None, call_index: int | None = None, graph_index: int | None = None
    ) -> str:
        """``<node>.<call>.<graph>.``, the graph counted from 0 for each call."""
        default_root, default_call = _prefix.get()
        counter = _graphs.get()
        if counter is None:
            counter = [0]
            _graphs.set(counter)
        if graph_index is None:
            graph_index = counter[0]
            counter[0] += 1
        call = default_call if call_index is None else call_index
        return f"{default_root if root is None else root}.{call}.{graph_index}."

    def node(self, class_type: str, id: str | None = None, **kwargs: Any) -> Node:
        """A new node, or the one of that id."""
        if id is None:
            id = str(self.id_gen)
            self.id_gen += 1
        id = f"{self.prefix}{id}"
        if id not in self.nodes:
            self.nodes[id] = Node(id, class_type, kwargs)
        return self.nodes[id]

    def lookup_node(self, id: str) -> Node | None:
        return self.nodes.get(f"{self.prefix}{id}")

    def remove_node(self, id: str) -> None:
        del self.nodes[f"{self.prefix}{id}"]

    def replace_node_output(self, node_id: str, index: int, new_value: Any) -> None:
        """Give ``new_value`` to every input that is linked to an output; None takes the inputs away."""
        origin = f"{self.prefix}{node_id}"
        for node in self.nodes.values():
            for key, value in list(node.inputs.items()):
                if is_link(value) and value[0] == origin and value[1] == index:
                    node.set_input(key, new_value)

    def finalize(self) -> dict[str, Any]:
        """The nodes in the API format, as ``expand`` takes them."""
        return {node_id: node.serialize() for node_id, node in self.nodes.items()}


def add_graph_prefix(graph: Mapping[str, Any], outputs: Any, prefix: str) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """A graph in the API format, and what of it is the result, with ``prefix`` before every id."""

    def prefixed(value: Any) -> Any:
        return [f"{prefix}{value[0]}", value[1]] if is_link(value) else value

    found = {
        f"{prefix}{node_id}": {
            "class_type": entry["class_type"],
            "inputs": {name: prefixed(value) for name, value in entry.get("inputs", {}).items()},
        }
        for node_id, entry in graph.items()
    }
    return found, tuple(prefixed(value) for value in outputs)

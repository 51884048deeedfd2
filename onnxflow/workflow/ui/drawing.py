"""The nodes and links of a graph as an editor saves them (contract A2, A5): sockets, values in its order, places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from onnxflow.graph.graph import BadLink, Graph, Link, Node
from onnxflow.workflow.definition import DefinedInput, Definition
from onnxflow.workflow.definitions import Define
from onnxflow.workflow.ui.convert import PLACE
from onnxflow.workflow.ui.layout import Edge, levels, placed
from onnxflow.workflow.ui.migrations import current_name
from onnxflow.workflow.ui.resolve import PRIMITIVE
from onnxflow.workflow.ui.size import size_of
from onnxflow.workflow.ui.text import escaped

ID: Final = "onnxflow.id"
"""The property of a node that keeps the id that it had, where an editor cannot have it."""
_NAME: Final = "Node name for S&R"
_MOST_OUTPUTS: Final = 256
"""Outputs that are drawn of a class that nobody knows; links of higher numbers are kept nevertheless."""
_OPTIONAL_SHAPE: Final = 7
_AFTER_RUN: Final = "fixed"
_BUTTON: Final = "image"
_BUTTONS: Final[Mapping[str, list[Any]]] = {
    "LoadAudio": [None, None],
    "LoadImageOutput": [False, "refresh", _BUTTON],
}
"""What editors save behind the values of a class, where it is not one button for uploads."""
_PICTURE: Final = 220
"""Pixels that a picture takes under the values."""
SHOWN: Final[Mapping[str, frozenset[str]]] = {
    "LoadAudio": frozenset({"audioUI"}),
    "LoadImageOutput": frozenset({"refresh"}),
    "PreviewAny": frozenset({"preview"}),
    "PreviewAudio": frozenset({"audioUI"}),
    "SaveAudio": frozenset({"audioUI"}),
    "SaveAudioMP3": frozenset({"audioUI"}),
    "SaveAudioOpus": frozenset({"audioUI"}),
    "SaveGLB": frozenset({"image"}),
}
"""Inputs that editors send of what they show, and that no server reads: each editor adds its own again."""


@dataclass(slots=True)
class _Drawn:
    """A node that is being drawn: as it is saved, and what its size depends on."""

    saved: dict[str, Any]
    inputs: list[dict[str, Any]] = field(default_factory=list)
    outputs: list[dict[str, Any]] = field(default_factory=list)
    values: list[tuple[str, Any, bool]] = field(default_factory=list)
    picture: bool = False

    @property
    def size(self) -> tuple[int, int]:
        sockets = [slot["name"] for slot in self.inputs if "widget" not in slot]
        title = self.saved.get("title", self.saved["type"])
        width, height = size_of(title, sockets, [slot["name"] for slot in self.outputs], self.values)
        return width, height + _PICTURE if self.picture else height


class Drawing:
    """A graph that is drawn node by node; ``remarks`` are what an editor would not send as it stands there."""

    def __init__(self, graph: Graph, ids: Mapping[str, int], define: Define) -> None:
        self._graph = graph
        self._ids = ids
        self._define = define
        self._drawn: dict[int, _Drawn] = {}
        self._links: list[tuple[int, int, int, int, str]] = []
        self._outputs = _outputs_used(graph)
        self._free = max(ids.values(), default=0)
        self.remarks: list[str] = []

    def add(self, node: Node) -> None:
        """A node with its values, and the links that lead to it."""
        name = current_name(node.class_type)
        definition = self._define(name)
        drawn = self._new(self._ids[node.id], name)
        saved = drawn.saved
        if node.title and node.title != (definition.title if definition is not None else name):
            saved["title"] = node.title
        if str(self._ids[node.id]) != node.id:
            saved["properties"][ID] = node.id
        if node.place:
            saved["properties"][PLACE] = node.place
        if definition is None:
            self._fill_unknown(drawn, node)
        else:
            self._fill(drawn, node, definition)

    def _new(self, number: int, name: str) -> _Drawn:
        saved = {"id": number, "type": name, "properties": {_NAME: name}}
        drawn = self._drawn[number] = _Drawn(saved)
        return drawn

    def _fill(self, drawn: _Drawn, node: Node, definition: Definition) -> None:
        declared = {one.name for one in definition.inputs}
        for one in definition.sockets:
            slot = self._slot(drawn, one.name, one.type, optional=not one.required)
            self._feed(drawn, slot, node, one.type)
        saved: list[Any] = []
        for one in definition.widgets:
            value = node.inputs.get(one.name)
            if isinstance(value, Link) and value.node in self._ids:
                slot = self._slot(drawn, one.name, one.type, optional=not one.required, widget=True)
                self._feed(drawn, slot, node, one.type)
            value = _typed(one, node)
            drawn.values.append((one.name, value, one.dynamic))
            saved.append(value)
            if one.control:
                drawn.values.append(("control_after_generate", _AFTER_RUN, False))
                saved.append(_AFTER_RUN)
        for name in node.inputs:
            if name not in declared and name not in SHOWN.get(definition.name, ()):
                self._feed_undeclared(drawn, node, name)
        if not any(one.forced for one in definition.inputs):  # else one more might be taken for an older file's
            saved += _BUTTONS.get(definition.name, [_BUTTON for one in definition.inputs if one.upload])
        if saved:
            drawn.saved["widgets_values"] = saved
        for output in definition.outputs:
            drawn.outputs.append({"name": output.name, "type": output.type, "links": None})
        drawn.picture = any(one.upload for one in definition.inputs) or (
            definition.output_node and any(one.type == "IMAGE" for one in definition.inputs)
        )

    def _fill_unknown(self, drawn: _Drawn, node: Node) -> None:
        saved: list[Any] = []
        for name, value in node.inputs.items():
            if isinstance(value, Link):
                self._feed(drawn, self._slot(drawn, name, "*"), node, "*")
            elif name:
                self._slot(drawn, name, _type_of(value), widget=True)
                saved.append(value.value if isinstance(value, BadLink) else value)
                drawn.values.append((name, value, False))
        if saved:
            drawn.saved["widgets_values"] = saved
        for number in range(self._outputs.get(node.id, 0)):
            drawn.outputs.append({"name": f"output_{number}", "type": "*", "links": None})

    def _slot(
        self, drawn: _Drawn, name: str, kind: str, *, optional: bool = False, widget: bool = False
    ) -> dict[str, Any]:
        slot: dict[str, Any] = {"name": name, "type": kind}
        if optional:
            slot["shape"] = _OPTIONAL_SHAPE
        if widget:
            slot["widget"] = {"name": name}
        slot["link"] = None
        drawn.inputs.append(slot)
        return slot

    def _feed(self, drawn: _Drawn, slot: dict[str, Any], node: Node, kind: str) -> None:
        """The link to a socket, or what is typed in there, which needs a node of its own."""
        value = node.inputs.get(slot["name"])
        if isinstance(value, Link):
            if value.node in self._ids:
                origin = self._define(current_name(self._graph.nodes[value.node].class_type))
                known = origin.outputs if origin is not None else ()
                type_ = known[value.slot].type if 0 <= value.slot < len(known) else "*"
                self._link(self._ids[value.node], value.slot, drawn, slot, type_)
        elif value is not None and not isinstance(value, BadLink):
            self._free += 1
            primitive = self._new(self._free, PRIMITIVE)
            primitive.values.append(("value", value, False))
            primitive.saved["widgets_values"] = [value, _AFTER_RUN] if type(value) in (int, float) else [value]
            output = {"name": kind, "type": kind, "links": None, "widget": {"name": slot["name"]}}
            primitive.outputs.append(output)
            self._link(self._free, 0, drawn, slot, kind)
            self.remarks.append(
                f"{node.ref}: {slot['name']!r} has a value, and an editor has nothing there to type it into: node "
                f"{self._free} (PrimitiveNode) keeps it, which onnxflow reads and ComfyUI's editor does not send"
            )

    def _feed_undeclared(self, drawn: _Drawn, node: Node, name: str) -> None:
        """An input that the class does not have, which a server passes over."""
        value = node.inputs[name]
        if value is None or isinstance(value, BadLink):
            return
        kind = "*" if isinstance(value, Link) else _type_of(value)
        self._feed(drawn, self._slot(drawn, name, kind), node, kind)

    def _link(self, origin: int, number: int, drawn: _Drawn, slot: dict[str, Any], kind: str) -> None:
        slot["link"] = len(self._links) + 1
        self._links.append((origin, number, drawn.saved["id"], len(drawn.inputs) - 1, kind))

    def document(self, document_id: str) -> dict[str, Any]:
        """All of it, each node in its place."""
        place_of = {number: place for place, number in enumerate(self._drawn)}
        edges: list[Edge] = []
        for number, (origin, slot, target, _, _) in enumerate(self._links, start=1):
            edges.append((place_of[origin], place_of[target]))
            outputs = self._drawn[origin].outputs
            if 0 <= slot < len(outputs):
                leaving = outputs[slot]["links"] = outputs[slot]["links"] or []
                leaving.append(number)
        nodes = list(self._drawn.values())
        sizes = [node.size for node in nodes]
        order = {place: at for at, place in enumerate(levels(len(nodes), edges)[0])}
        positions = placed(sizes, edges)
        return {
            "id": document_id,
            "revision": 0,
            "last_node_id": self._free,
            "last_link_id": len(self._links),
            "nodes": [_entry(node, positions[at], sizes[at], order[at]) for at, node in enumerate(nodes)],
            "links": [[number, *link] for number, link in enumerate(self._links, start=1)],
            "groups": [],
            "config": {},
            "extra": {},
            "version": 0.4,
        }


def _entry(node: _Drawn, position: tuple[int, int], size: tuple[int, int], order: int) -> dict[str, Any]:
    """A node with its keys in the editor's order."""
    saved = node.saved
    entry = {"id": saved["id"], "type": saved["type"], "pos": list(position), "size": list(size), "flags": {}}
    entry |= {"order": order, "mode": 0, "inputs": node.inputs, "outputs": node.outputs}
    return entry | {key: saved[key] for key in ("title", "properties", "widgets_values") if key in saved}


def _typed(one: DefinedInput, node: Node) -> Any:
    """What a widget holds: the value, written so that the editor sends it; the editor's own where a link feeds it or
    the file has none."""
    value = node.inputs.get(one.name, one.initial)
    if isinstance(value, Link):
        return one.initial
    if isinstance(value, BadLink):
        return value.value
    return escaped(value) if one.dynamic and isinstance(value, str) else value


def _type_of(value: Any) -> str:
    return {bool: "BOOLEAN", int: "INT", float: "FLOAT", str: "STRING"}.get(type(value), "*")


def _outputs_used(graph: Graph) -> dict[str, int]:
    """How many outputs of each node links tell of."""
    found: dict[str, int] = {}
    for node in graph.nodes.values():
        for value in node.inputs.values():
            if isinstance(value, Link):
                found[value.node] = max(found.get(value.node, 0), min(value.slot + 1, _MOST_OUTPUTS))
    return found

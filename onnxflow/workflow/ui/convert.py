"""The editor's format to the API format, as the editor itself converts it (contract A6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any, Final

from onnxflow.errors import WorkflowError
from onnxflow.workflow.definition import Definition
from onnxflow.workflow.definitions import Define, comfyui_definition
from onnxflow.workflow.ui.document import BYPASSED, MUTED, UiNode, UiSlot, read_document
from onnxflow.workflow.ui.migrations import current_name
from onnxflow.workflow.ui.resolve import PRIMITIVE, VIRTUAL, Origin, Resolver, Typed
from onnxflow.workflow.ui.scope import Scope, every_scope, open_scopes
from onnxflow.workflow.ui.text import PREFIXED, chosen, replaced, written
from onnxflow.workflow.ui.widgets import unknown_values, widget_values

PLACE: Final = "onnxflow.place"
"""The property of a node that says where it shall run."""
_NAME: Final = "Node name for S&R"
_REPLACE: Final = "Run widget replace on values"
_PACKS: Final = ("cnr_id", "aux_id")
_PREFIX: Final = "filename_prefix"
_LARGEST_INDEX: Final = 2**32 - 2

MOST_CHARACTERS: Final = 16 * 2**20
"""Of prompts and of names of files, with what these take from other nodes."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a conversion depends on besides the file: random choices, and the time."""

    random: Random
    now: datetime


@dataclass(frozen=True, slots=True)
class Converted:
    """The API-format JSON; what there is to say of links that lead nowhere; and the pack of custom nodes that a node's
    properties name, by its id."""

    document: Mapping[str, Any]
    remarks: tuple[str, ...]
    packs: Mapping[str, str]


def to_api(document: Mapping[str, Any], define: Define, given: Circumstances, where: str) -> Converted:
    """What the editor saved as the API-format JSON: every node that is neither muted nor bypassed nor the editor's own.
    WorkflowError lists what has not the shape of a node or a link.

    A class that nobody knows is sent with its links, so that checking it can say so.
    """
    root = open_scopes(read_document(document, where), define, where)
    conversion = _Conversion(root, define, given, where)
    return Converted(conversion.document(), tuple(conversion.remarks), conversion.packs)


class _Conversion:
    def __init__(self, root: Scope, define: Define, given: Circumstances, where: str) -> None:
        self._define = define
        self._given = given
        self._root = root
        self._where = where
        self._room = MOST_CHARACTERS
        self._resolver = Resolver(define, where)
        self._values: dict[tuple[Scope, str], dict[str, Any]] = {}
        self._named: dict[str, tuple[Scope, UiNode]] | None = None
        self.remarks = self._resolver.remarks
        self.packs: dict[str, str] = {}

    def document(self) -> dict[str, Any]:
        later: list[tuple[dict[str, Any], str, str]] = []
        for scope in every_scope(self._root):
            self._write_primitives(scope, later)
        for values, name, text in later:  # which may take the values that others have written
            values[name] = self._replaced(text)
        self._values.clear()
        found: dict[str, Any] = {}
        for scope in every_scope(self._root):
            if scope.silent:
                continue
            for node in scope.graph.nodes.values():
                if node.type in VIRTUAL or node.id in scope.children or node.mode in (MUTED, BYPASSED):
                    continue
                node_id = scope.id_of(node.id)
                found[node_id] = self._entry(scope, node)
                pack = next((node.properties[key] for key in _PACKS if key in node.properties), None)
                if isinstance(pack, str):
                    self.packs[node_id] = pack
        for entry in found.values():  # what was muted leaves its readers without that input
            inputs = entry["inputs"]
            for name in [key for key, value in inputs.items() if _is_link(value) and value[0] not in found]:
                del inputs[name]
        return {key: found[key] for key in sorted(found, key=_place_of)}

    def _entry(self, scope: Scope, node: UiNode) -> dict[str, Any]:
        class_type = current_name(node.type)
        definition = self._define(class_type)
        inputs = {
            name: self._sent(class_type, definition, name, value)
            for name, value in self._values_of(scope, node).items()
            if value is not None
        }
        for slot in self._resolver.inputs_of(scope, node):
            origin = self._resolver.follow(scope, slot)
            if isinstance(origin, Origin):
                inputs[slot.name] = [origin.node, origin.slot]
            elif isinstance(origin, Typed):
                inputs[slot.name] = self._sent(class_type, definition, slot.name, origin.value)
        title = node.title or (definition.title if definition is not None else class_type)
        meta: dict[str, Any] = {"title": title}
        if PLACE in node.properties:
            meta["onnxflow"] = {"place": node.properties[PLACE]}
        return {"inputs": inputs, "class_type": class_type, "_meta": meta}

    def _values_of(self, scope: Scope, node: UiNode) -> dict[str, Any]:
        """What is typed into a node, or written there by another one."""
        key = (scope, node.id)
        if key not in self._values:
            class_type = current_name(node.type)
            definition = self._define(class_type)
            values = (
                widget_values(definition, node, by_name=comfyui_definition(class_type) is None)
                if definition is not None
                else unknown_values(node)
            )
            self._values[key] = values | scope.written.get(node.id, {})
        return self._values[key]

    def _sent(self, class_type: str, definition: Definition | None, name: str, value: Any) -> Any:
        """A value as it is sent."""
        if isinstance(value, list):
            return {"__value__": value}
        if not isinstance(value, str):
            return value
        if name == _PREFIX and class_type in PREFIXED:
            return self._replaced(value)
        declared = next((one for one in definition.widgets if one.name == name), None) if definition else None
        if declared is None or not declared.dynamic:
            return value
        self._take(len(value))
        return chosen(value, self._given.random)

    def _take(self, characters: int) -> None:
        """Count characters that are read or written anew; WorkflowError when there is no room for them: a text counts
        in every instance of its subgraph, and a value wherever a name of files takes it."""
        self._room -= characters
        if self._room < 0:
            raise WorkflowError(
                f"the prompts and names of files, with what they take from other nodes, are longer than "
                f"{MOST_CHARACTERS:,} characters",
                where=self._where,
                hint="shorten the texts, or what stands between percent signs",
            )

    def _replaced(self, text: str) -> str:
        if "%" not in text:
            return text
        self._take(len(text))
        return replaced(text, self._given.now, self._value_of_named)

    def _value_of_named(self, name: str, widget: str) -> Any:
        """The value of a widget of the first node of that name."""
        value = self._find_value(name, widget)
        self._take(len(written(value)))
        return value

    def _find_value(self, name: str, widget: str) -> Any:
        if self._named is None:
            self._named = {}
            nodes = [(scope, node) for scope in every_scope(self._root) for node in scope.graph.nodes.values()]
            for by_title in (False, True):
                for scope, node in nodes:
                    own = node.title or self._title(node) if by_title else node.properties.get(_NAME)
                    if isinstance(own, str):
                        self._named.setdefault(own, (scope, node))
        found = self._named.get(name)
        return self._values_of(*found).get(widget) if found is not None else None

    def _title(self, node: UiNode) -> str:
        definition = self._define(current_name(node.type))
        return definition.title if definition is not None else node.type

    def _write_primitives(self, scope: Scope, later: list[tuple[dict[str, Any], str, str]]) -> None:
        """A PrimitiveNode's value goes into the widgets that it is linked to, itself muted or not; ``later`` gets the
        texts that are to be replaced, with where they go."""
        graph = scope.graph
        primitives = {node.id: node for node in graph.nodes.values() if node.type == PRIMITIVE}
        if not primitives:
            return
        slots: dict[str, dict[str | None, UiSlot]] = {}  # by the link that leads to them, of each node
        for link in graph.links.values():
            node, target = primitives.get(link.origin), graph.nodes.get(link.target)
            if node is None or target is None or not isinstance(node.widgets, list) or not node.widgets:
                continue
            if target.id not in slots:
                slots[target.id] = {one.link: one for one in reversed(target.inputs)}
            slot = slots[target.id].get(link.id)
            if slot is not None and target.type not in VIRTUAL:
                value, name = node.widgets[0], slot.widget or slot.name
                values = scope.written.setdefault(target.id, {})
                values[name] = value
                if node.properties.get(_REPLACE) is True and isinstance(value, str):
                    later.append((values, name, value))


def _place_of(node_id: str) -> tuple[bool, int]:
    """Where an id stands among others in a browser's object: whole numbers by their size before all else."""
    number = int(node_id) if node_id.isascii() and node_id.isdecimal() and len(node_id) <= 10 else -1
    index = 0 <= number <= _LARGEST_INDEX and str(number) == node_id
    return not index, number if index else 0


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2

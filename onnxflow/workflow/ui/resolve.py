"""Where the value of an input comes from: through reroutes, bypassed nodes and graphs in graphs (contract A6.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from onnxflow.workflow.definitions import Define
from onnxflow.workflow.ui.document import BYPASSED, INPUT_NODE, UiNode, UiSlot
from onnxflow.workflow.ui.migrations import current_name
from onnxflow.workflow.ui.scope import Scope
from onnxflow.workflow.ui.widgets import rebuilt

REROUTE: Final = "Reroute"
PRIMITIVE: Final = "PrimitiveNode"
NOTES: Final = ("Note", "MarkdownNote")
VIRTUAL: Final = (REROUTE, PRIMITIVE, *NOTES)
"""The editor's own nodes, which no server is told of."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The output of a node that is sent: its id in the API format, and the number of the output."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Typed:
    """A value that is typed into an instance of a subgraph, for a widget inside."""

    value: Any


class Resolver:
    """Follows links. Each step is bounded by the links there are: what comes back to where it was leads nowhere.

    ``remarks`` are the links that lead nowhere, each once.
    """

    def __init__(self, define: Define) -> None:
        self._define = define
        self.remarks: dict[str, None] = {}

    def inputs_of(self, scope: Scope, node: UiNode) -> tuple[UiSlot, ...]:
        """A node's inputs in the editor's order."""
        child = scope.children.get(node.id)
        if child is None:
            return rebuilt(self._define(current_name(node.type)), node)
        saved = {slot.widget or slot.name: slot.link for slot in reversed(node.inputs)}
        return tuple(slot._replace(link=saved.get(slot.name)) for slot in child.graph.inputs)

    def follow(self, scope: Scope, slot: UiSlot) -> Origin | Typed | None:
        """What feeds an input; None for nothing."""
        link_id, wanted = slot.link, slot.type
        seen: set[tuple[Scope, str]] = set()
        while link_id is not None:
            link = scope.graph.links.get(link_id)
            if link is None or (scope, link_id) in seen:
                what = "is not in the file" if link is None else "comes back to itself"
                self.remarks[f"link {link_id} {what}: the input {slot.name!r} that it leads to has no origin"] = None
                return None
            seen.add((scope, link_id))
            if link.origin == INPUT_NODE:
                outer = self._outside(scope, link.origin_slot)
                if outer is None or isinstance(outer, Typed):
                    return outer
                scope, link_id = outer
                continue
            node = scope.graph.nodes.get(link.origin)
            if node is None:
                self.remarks[f"link {link_id} comes from node {link.origin}, which is not in the file"] = None
                return None
            if node.type == PRIMITIVE or node.type in NOTES:
                return None
            if node.type == REROUTE:
                link_id = next((one.link for one in node.inputs), None)
            elif node.mode == BYPASSED:
                link_id = self._passed(scope, node, link.origin_slot, wanted)
            elif (child := scope.children.get(node.id)) is not None:
                inner = child.graph.leaving.get(link.origin_slot)
                scope, link_id = child, inner.id if inner is not None else None
            else:
                return Origin(scope.id_of(node.id), link.origin_slot)
        return None

    def _outside(self, scope: Scope, number: int) -> tuple[Scope, str] | Typed | None:
        """What comes into an instance at one of its inputs: a link outside, or the value that is typed in there."""
        assert scope.parent is not None and scope.instance is not None, "the whole workflow has no inputs"
        if not 0 <= number < len(scope.graph.inputs):
            return None
        inputs = self.inputs_of(scope.parent, scope.instance)
        link = inputs[number].link
        if link is not None:
            return scope.parent, link
        name = inputs[number].name
        written = scope.parent.written.get((scope.instance.id, name))
        if written is not None:
            return Typed(written)
        values = scope.promoted
        return Typed(values[name]) if name in values else None

    def _passed(self, scope: Scope, node: UiNode, output: int, wanted: str) -> str | None:
        """The link of the input that a bypassed node hands on."""
        inputs = self.inputs_of(scope, node)
        if not inputs:
            return None
        given = self._output_type(scope, node, output)
        if wanted in ("*", ""):
            return inputs[output if output < len(inputs) else 0].link
        if output < len(inputs) and _both(inputs[output].type, given, wanted):
            return inputs[output].link
        same = next((one for one in inputs if one.type == wanted), None)
        found = same or next((one for one in inputs if _both(one.type, given, wanted)), None)
        return found.link if found is not None else None

    def _output_type(self, scope: Scope, node: UiNode, output: int) -> str:
        child = scope.children.get(node.id)
        definition = self._define(current_name(node.type)) if child is None else None
        types = (
            [one.type for one in child.graph.outputs]
            if child is not None
            else [one.type for one in definition.outputs]
            if definition is not None
            else [one.type for one in node.outputs]
        )
        return types[output] if 0 <= output < len(types) else "*"


def compatible(one: str, other: str) -> bool:
    """Whether sockets of these types may be joined, as the editor sees it."""
    if one in ("*", "") or other in ("*", ""):
        return True
    return not set(one.lower().split(",")).isdisjoint(other.lower().split(","))


def _both(kind: str, given: str, wanted: str) -> bool:
    return compatible(kind, given) and compatible(kind, wanted)

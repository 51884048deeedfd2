"""Where the value of an input comes from: through reroutes, bypassed nodes and graphs in graphs (contract A6.5)."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from onnxflow.errors import WorkflowError, shown
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

MOST_STEPS: Final = 2_000_000
"""Of all links together, through reroutes, bypassed nodes and the borders of subgraphs."""

_MOST_TYPES: Final = 100
"""Different types of a bypassed node's inputs that are compared with what is wanted; real nodes have a dozen."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The output of a node that is sent: its id in the API format, and the number of the output."""

    node: str
    slot: int


@dataclass(frozen=True, slots=True)
class Typed:
    """A value that is typed into an instance of a subgraph, for a widget inside."""

    value: Any


@dataclass(frozen=True, slots=True)
class _Nowhere:
    """What is wrong with a link that leads nowhere: empty where that is as it should be."""

    what: str = ""


_Found = Origin | Typed | _Nowhere
_Place = tuple[Scope, str]  # a link where it lies


class Resolver:
    """Follows links, each stretch once for every type that is wanted at its end: many inputs may be behind one long
    chain. What comes back to where it was leads nowhere.

    ``remarks`` are the links that lead nowhere, each once. WorkflowError after MOST_STEPS.
    """

    def __init__(self, define: Define, where: str) -> None:
        self._define = define
        self._where = where
        self._steps = 0
        self._found: dict[tuple[Scope, str, str], _Found] = {}
        self._inputs: dict[_Place, tuple[UiSlot, ...]] = {}
        self._typed: dict[_Place, dict[str, UiSlot]] = {}
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
        if slot.link is None:
            return None
        found = self._end(scope, slot.link, slot.type)
        if not isinstance(found, _Nowhere):
            return found
        if found.what:
            self.remarks[f"{found.what}: the input {shown(slot.name)} that it leads to has no origin"] = None
        return None

    def _end(self, scope: Scope, link_id: str, wanted: str) -> _Found:
        """What a link comes from in the end."""
        passed: dict[tuple[Scope, str, str], None] = {}
        at: _Place | _Found = (scope, link_id)
        while isinstance(at, tuple):
            key = (*at, wanted)
            known = self._found.get(key)
            if known is not None:
                at = known
            elif key in passed:
                at = _Nowhere(f"link {at[1]} comes back to itself")
            else:
                passed[key] = None
                at = self._before(*at, wanted)
        if len(passed) > 1:
            self._steps += len(passed)
            if self._steps > MOST_STEPS:
                raise WorkflowError(
                    f"the links lead through reroutes, bypassed nodes and subgraphs in more than {MOST_STEPS:,} steps",
                    where=self._where,
                    hint="remove what is bypassed, and some reroutes",
                )
            self._found.update(dict.fromkeys(passed, at))
        return at

    def _before(self, scope: Scope, link_id: str, wanted: str) -> _Place | _Found:
        """What a link comes from: another link, where nothing but links lies between."""
        link = scope.graph.links.get(link_id)
        if link is None:
            return _Nowhere(f"link {link_id} is not in the file")
        if link.origin == INPUT_NODE:
            return self._outside(scope, link.origin_slot)
        node = scope.graph.nodes.get(link.origin)
        if node is None:
            return _Nowhere(f"link {link_id} comes from node {link.origin}, which is not in the file")
        if node.type == PRIMITIVE or node.type in NOTES:
            return _Nowhere()
        if node.type == REROUTE:
            before = next((one.link for one in node.inputs), None)
        elif node.mode == BYPASSED:
            before = self._passed(scope, node, link.origin_slot, wanted)
        elif (child := scope.children.get(node.id)) is not None:
            inner = child.graph.leaving.get(link.origin_slot)
            scope, before = child, inner.id if inner is not None else None
        else:
            return Origin(scope.id_of(node.id), link.origin_slot)
        return (scope, before) if before is not None else _Nowhere()

    def _inputs_once(self, scope: Scope, node: UiNode) -> tuple[UiSlot, ...]:
        """A node's inputs, for those that many links lead through."""
        key = (scope, node.id)
        if key not in self._inputs:
            self._inputs[key] = self.inputs_of(scope, node)
        return self._inputs[key]

    def _outside(self, scope: Scope, number: int) -> _Place | _Found:
        """What comes into an instance at one of its inputs: a link outside, or the value that is typed in there."""
        if scope.parent is None or scope.instance is None or not 0 <= number < len(scope.graph.inputs):
            return _Nowhere()  # the whole workflow has no inputs
        slot = self._inputs_once(scope.parent, scope.instance)[number]
        written = scope.parent.written.get(scope.instance.id, {})
        if slot.name in written:  # by a PrimitiveNode, which it is linked to
            return Typed(written[slot.name])
        if slot.link is not None:
            return scope.parent, slot.link
        return Typed(scope.promoted[slot.name]) if slot.name in scope.promoted else _Nowhere()

    def _passed(self, scope: Scope, node: UiNode, output: int, wanted: str) -> str | None:
        """The link of the input that a bypassed node hands on."""
        inputs = self._inputs_once(scope, node)
        if not inputs:
            return None
        given = self._output_type(scope, node, output)
        if wanted in ("*", ""):
            return inputs[output if output < len(inputs) else 0].link
        if output < len(inputs) and _both(inputs[output].type, given, wanted):
            return inputs[output].link
        typed = self._typed.get((scope, node.id))
        if typed is None:
            typed = self._typed[scope, node.id] = {}
            for one in inputs:
                typed.setdefault(one.type, one)
        same = typed.get(wanted)
        found = same or next(
            (one for one in islice(typed.values(), _MOST_TYPES) if _both(one.type, given, wanted)), None
        )
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

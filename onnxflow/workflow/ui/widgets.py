"""The values typed into a node: which of the saved ones is which (contract A5).

They are saved in the editor's order, in which some stand for nothing that a server is told: what becomes of a seed
after a run, a button for uploads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from onnxflow.workflow.definition import DefinedInput, Definition
from onnxflow.workflow.ui.document import UiNode, UiSlot
from onnxflow.workflow.ui.migrations import current_value

_LARGEST_EXACT: Final = 2**53


def widget_values(definition: Definition, node: UiNode, *, by_name: bool) -> dict[str, Any]:
    """A value for every widget of the class: the saved one, else what an editor puts into a new node.

    Values that were saved by name count only where ``by_name``: the editor takes them for nodes of others alone.
    """
    found = {one.name: one.initial for one in definition.widgets}
    if isinstance(node.widgets, Mapping):
        found |= {name: value for name, value in node.widgets.items() if by_name and name in found}
    elif node.widgets:
        found |= dict(zip(_names(definition, node.widgets), node.widgets, strict=False))
        found.pop("", None)
    return {name: cleaned(name, value) for name, value in found.items()}


def unknown_values(node: UiNode) -> dict[str, Any]:
    """The values of a class that nobody knows, as far as its saved sockets name its widgets."""
    if isinstance(node.widgets, Mapping):
        return dict(node.widgets)
    names = [slot.widget for slot in node.inputs if slot.widget]
    values = node.widgets or ()
    return dict(zip(names, values, strict=True)) if len(names) == len(values) else {}


def cleaned(name: str, value: Any) -> Any:
    """A value as the editor sends it today, whose numbers are doubles."""
    value = current_value(name, value)
    if type(value) is int and abs(value) > _LARGEST_EXACT:
        return as_double(value)
    return value


def as_double(value: int) -> int:
    """A whole number as a browser reads and writes it: with the digits that tell its double from all others."""
    try:
        digits, _, exponent = repr(float(value)).partition("e")
    except OverflowError:
        return value
    if not exponent:
        return int(digits.partition(".")[0])
    whole, _, rest = digits.partition(".")
    rest = "" if rest == "0" else rest
    return int(f"{whole}{rest}{'0' * (int(exponent) - len(rest))}")


def width_of(widget: DefinedInput) -> int:
    """How many saved values a widget takes."""
    return 2 if widget.control else 1


def rebuilt(definition: Definition | None, node: UiNode) -> tuple[UiSlot, ...]:
    """A node's inputs as an editor makes them anew: those that can only be linked, then the widgets, both in the
    order of the class, then those that the class does not know; each with the link of the saved one of its name."""
    if definition is None:
        return node.inputs
    saved: dict[str, UiSlot] = {}
    for slot in node.inputs:
        saved.setdefault(slot.widget or slot.name, slot)
    known = [*definition.sockets, *definition.widgets]
    found = [
        UiSlot(
            one.name, one.type, saved[one.name].link if one.name in saved else None, one.name if one.widget else None
        )
        for one in known
    ]
    names = {one.name for one in known}
    return (*found, *(slot for slot in node.inputs if (slot.widget or slot.name) not in names))


def _names(definition: Definition, values: Sequence[Any]) -> list[str]:
    """The widget that each of so many saved values belongs to; empty for what belongs to none."""
    places = [one for one in definition.inputs if one.widget or one.forced]
    with_forced = len(values) == sum(map(width_of, places)) and any(one.forced for one in places)
    names: list[str] = []
    for one in places:
        if one.widget or with_forced:  # older files have a value for an input that is only linked now
            names += [one.name if one.widget else "", ""][: width_of(one)]
    return names

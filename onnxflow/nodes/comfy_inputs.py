"""The inputs of a node class made for ComfyUI, from its INPUT_TYPES."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from onnxflow.errors import shown
from onnxflow.nodes.spec import Input
from onnxflow.nodes.widgets import Choices

if TYPE_CHECKING:
    from onnxflow.models.disk import Disk

TYPED: Final = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
"""The types whose values are typed in; others take any JSON value that a pack's own editor writes."""

_NOTHING: Final = "\0"  # the name of no type


def declared_inputs(input_types: Callable[[], Any]) -> tuple[Input, ...]:
    """The required and optional inputs; ValueError says what is no declaration."""
    return tuple(_read(input_types))


def hidden_inputs(input_types: Callable[[], Any]) -> dict[str, str]:
    """The kinds of hidden inputs by name."""
    hidden = input_types().get("hidden") or {}
    return {name: str(entry[0] if isinstance(entry, (list, tuple)) else entry) for name, entry in hidden.items()}


def undeclared_input(input_types: Callable[[], Any], *, takes_any: bool) -> Callable[[str], Input | None] | None:
    """What the class takes beside its declared inputs: links of any name where its function ``takes_any``, and, of
    packs whose dictionary of optional inputs says that it has every name, values too; None for nothing."""
    optional = input_types().get("optional", {})
    flexible = isinstance(optional, dict) and type(optional) is not dict
    if not flexible and not takes_any:
        return None

    def undeclared(name: str) -> Input | None:
        if flexible and name in optional:
            return Input(name, "*", required=False, free=True)
        return Input(name, "*", required=False) if takes_any else None

    return undeclared


def type_name(declared: Any) -> str:
    """The name of a type: a list is a combo, and a text that is never unequal stands for any type."""
    if isinstance(declared, (list, tuple)):
        return "COMBO"
    if not isinstance(declared, str):
        raise ValueError(f"{shown(declared, 60)} is no type")
    if type(declared) is not str and (declared != _NOTHING) is False:  # as ComfyUI compares types
        return "*"
    return str.__str__(declared)


def _read(input_types: Callable[[], Any]) -> Iterator[Input]:
    found = input_types()
    if not isinstance(found, Mapping):
        raise ValueError(f"INPUT_TYPES gives {shown(found, 60)}, expected a dictionary")
    for section in ("required", "optional"):
        for name, entry in (found.get(section) or {}).items():
            if not isinstance(name, str) or not isinstance(entry, (list, tuple)) or not entry:
                raise ValueError(f"the input {shown(name)} is {shown(entry, 60)}, expected (type, options)")
            options = entry[1] if len(entry) > 1 and isinstance(entry[1], Mapping) else {}
            type_ = type_name(entry[0])
            yield Input(
                name,
                type_,
                required=section == "required",
                choices=_choices(input_types, section, name, entry[0], options),
                options=MappingProxyType(dict(options)),
                lazy=bool(options.get("lazy")),
                raw=bool(options.get("rawLink")),
                free=type_ not in TYPED,
            )


def _choices(
    input_types: Callable[[], Any], section: str, name: str, declared: Any, options: Mapping[str, Any]
) -> Choices | None:
    """The choices of a combo, asked of the class each time, for they may lie on the disk; None where any value will
    do, as in combos of the newer form, which ComfyUI does not compare."""
    if not isinstance(declared, (list, tuple)) or options.get("multiselect"):
        return None

    def choices(disk: Disk) -> Sequence[Any]:
        try:
            return tuple(input_types()[section][name][0])
        except Exception:  # the class could say it when it was loaded
            return tuple(declared)

    return choices

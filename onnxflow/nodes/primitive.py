"""Nodes that hold one value for others: PrimitiveInt, PrimitiveFloat, PrimitiveString, PrimitiveStringMultiline,
PrimitiveBoolean."""

from __future__ import annotations

from typing import Annotated, Final

from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Boolean, Float, Int, String

_LARGEST: Final = 2**63 - 1


@node("PrimitiveInt", category="utils/primitive", display_name="Int")
def primitive_int(value: Annotated[int, Int(-_LARGEST, _LARGEST, control_after_generate=True)]) -> int:
    """The whole number."""
    return value


@node("PrimitiveFloat", category="utils/primitive", display_name="Float")
def primitive_float(value: Annotated[float, Float(-_LARGEST, _LARGEST)]) -> float:
    """The number."""
    return value


@node("PrimitiveString", category="utils/primitive", display_name="String")
def primitive_string(value: Annotated[str, String(multiline=False)]) -> str:
    """The text."""
    return value


@node("PrimitiveStringMultiline", category="utils/primitive", display_name="String (Multiline)")
def primitive_string_multiline(value: Annotated[str, String(multiline=True)]) -> str:
    """The text."""
    return value


@node("PrimitiveBoolean", category="utils/primitive", display_name="Boolean")
def primitive_boolean(value: Annotated[bool, Boolean()]) -> bool:
    """Yes or no."""
    return value

"""Values typed into a node: turned into the input's type as ComfyUI does, and compared with what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from onnxflow.errors import Problem, did_you_mean, shown
from onnxflow.graph.graph import Node
from onnxflow.models.disk import Disk
from onnxflow.nodes.spec import Input

_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}
TYPED_IN = frozenset({*_CONVERSIONS, "COMBO", "*"})
"""Input types whose values may stand in the node itself."""

_ARTICLES = {"INT": "an INT", "FLOAT": "a FLOAT", "STRING": "a STRING", "BOOLEAN": "a BOOLEAN"}
_LONGEST_REASON = 300
_MANY_CHOICES = 20  # beyond it ComfyUI writes the length of the list instead of the list


def parse_literal(declared: Input, value: Any, node: Node, disk: Disk, *, bounded: bool = True) -> Any | Problem:
    """``value`` as the declared type (64.7 -> 64, "64" -> 64 for an INT), or the Problem with it.

    Range and choices are looked at if ``bounded``.
    """
    convert = _CONVERSIONS.get(declared.type)
    if convert is not None:
        if type(value) is not convert:
            try:
                value = convert(value)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                return _unconvertible(declared, value, _cut(str(error)), node, disk)
        if declared.type == "FLOAT" and not math.isfinite(value):
            return _unconvertible(declared, value, "it must be a finite number", node, disk)
        if not bounded:
            return value
        low, high = declared.options.get("min"), declared.options.get("max")
        if low is not None and value < low:
            return _out_of_range(declared, value, node, disk, "value_smaller_than_min", f"smaller than min of {low}")
        if high is not None and value > high:
            return _out_of_range(declared, value, node, disk, "value_bigger_than_max", f"bigger than max of {high}")
        return value
    if declared.type == "*" or declared.free:
        return value
    if declared.type != "COMBO":
        return _problem(
            "invalid_input_type",
            f"A {declared.type} input needs a link, not a value",
            f"{declared.name}, {shown(value)}",
            declared,
            value,
            node,
            disk,
            hint=f"connect {declared.name} to an output of type {declared.type}",
        )
    if not bounded:
        return value
    allowed = declared.allowed(disk)
    if allowed is None or value in allowed or (declared.accepts is not None and declared.accepts(disk, value)):
        reason = declared.refuse(value) if declared.refuse else None
        if reason is None:
            return value
        message = f"{shown(value)} exists in ComfyUI but not in this version yet"
        return _problem("value_not_available", message, declared.name, declared, value, node, disk, hint=reason)
    text = _plain(value)
    listed = list(allowed) if len(allowed) <= _MANY_CHOICES else f"(list of length {len(allowed)})"
    return Problem(
        "value_not_in_list",
        "Value not in list",
        f"{declared.name}: {shown(value)} not in {listed}",
        node.ref,
        declared.explain(disk, text) if declared.explain else did_you_mean(text, allowed, what="allowed values"),
        {
            "input_name": declared.name,
            "input_config": declared.describe(disk) if len(allowed) <= _MANY_CHOICES else None,
            "received_value": value,
        },
    )


def _unconvertible(declared: Input, value: Any, reason: str, node: Node, disk: Disk) -> Problem:
    return _problem(
        "invalid_input_type",
        f"Failed to convert an input value to a {declared.type} value",
        f"{declared.name}, {_plain(value)}, {reason}",
        declared,
        value,
        node,
        disk,
        hint=_range(declared),
        more={"exception_message": reason},
    )


def _out_of_range(declared: Input, value: Any, node: Node, disk: Disk, code: str, relation: str) -> Problem:
    message = f"Value {_plain(value)} {relation}"
    return _problem(code, message, declared.name, declared, value, node, disk, hint=_range(declared))


def _range(declared: Input) -> str:
    low, high = declared.options.get("min"), declared.options.get("max")
    bounds = "" if low is None or high is None else f" from {low} to {high}"
    return f"{declared.name} takes {_ARTICLES[declared.type]}{bounds}"


def _problem(
    code: str,
    message: str,
    details: str,
    declared: Input,
    value: Any,
    node: Node,
    disk: Disk,
    *,
    hint: str,
    more: dict[str, Any] | None = None,
) -> Problem:
    extra = {"input_name": declared.name, "input_config": declared.describe(disk), "received_value": value}
    return Problem(code, message, details, node.ref, hint, {**extra, **(more or {})})


def _cut(reason: str) -> str:
    """What Python says of a value, which it repeats whole."""
    return reason if len(reason) <= _LONGEST_REASON else reason[:_LONGEST_REASON] + "..."


def _plain(value: Any) -> str:
    """A text as it is, anything else as its repr: ComfyUI writes the value without quotes here."""
    return value[:120] if isinstance(value, str) else shown(value)

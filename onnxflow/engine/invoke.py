"""Calling one node: lists in and out as ComfyUI treats them (contract B4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onnxflow.engine.cache import Result
from onnxflow.errors import InputError
from onnxflow.nodes.spec import NodeResult, NodeSpec
from onnxflow.values import SavedFile


def invoke(spec: NodeSpec, context: Any, literals: Mapping[str, Any], linked: Mapping[str, list[Any]]) -> Result:
    """The result of the node for its values; every linked value is a list.

    A node is called once for each element of its longest list, shorter lists repeating their last element; a node that
    takes lists is called once. InputError when a linked list is empty or the node returns another number of outputs.
    """
    function = spec.function
    first = (context,) if spec.wants_context else ()
    if spec.input_is_list:
        return _collect(spec, [function(*first, **{k: [v] for k, v in literals.items()}, **linked)])
    length = 1
    for name, values in linked.items():
        if len(values) != 1:
            if not values:
                raise InputError(f"the list linked to {name} is empty", hint="the node before it produced nothing")
            length = max(length, len(values))
    if length == 1:
        return _collect(spec, [function(*first, **literals, **{name: values[0] for name, values in linked.items()})])
    calls = []
    for i in range(length):
        chosen = {name: values[min(i, len(values) - 1)] for name, values in linked.items()}
        calls.append(function(*first, **literals, **chosen))
    return _collect(spec, calls)


def _collect(spec: NodeSpec, returned: list[Any]) -> Result:
    """One list an output from the values of one or more calls."""
    saved: list[SavedFile] = []
    ui: dict[str, Any] = {}
    rows: list[tuple[Any, ...]] = []
    count = len(spec.outputs)
    for value in returned:
        if isinstance(value, NodeResult):
            if value.expand is not None:
                raise InputError(f"{spec.name} returned nodes to run in its place, and does not say that it may")
            saved += value.saved
            for name, shown in value.ui.items():
                ui[name] = [*ui.get(name, ()), *shown]
            value = value.values
        elif count == 1:
            value = (value,)
        elif value is None:
            value = ()
        if len(value) != count:
            raise InputError(f"{spec.name} returned {len(value)} values for {count} outputs")
        rows.append(value)
    outputs = []
    for slot, output in enumerate(spec.outputs):
        column = [row[slot] for row in rows]
        outputs.append([item for values in column for item in values] if output.is_list else column)
    return Result(tuple(outputs), tuple(saved), ui)

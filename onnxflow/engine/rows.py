"""The calls that lists make of a node, and their results put together, where some may be blocked or be other nodes'.

The same rules as in invoke, which knows nothing of blockers and expansions and is faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnxflow.engine.cache import Result
from onnxflow.errors import InputError
from onnxflow.graph.graph import Link
from onnxflow.nodes.spec import NodeResult, NodeSpec
from onnxflow.values import ExecutionBlocker, SavedFile
from onnxflow.workflow.made import link_in

Values = dict[str, Any]


def calls_of(spec: NodeSpec, literals: Mapping[str, Any], linked: Mapping[str, list[Any]]) -> list[Values]:
    """The arguments of every call of the node; InputError when a linked list is empty."""
    if spec.input_is_list:
        return [{**{name: [value] for name, value in literals.items()}, **linked}]
    length = 1
    for name, values in linked.items():
        if not values:
            raise InputError(f"the list linked to {name} is empty", hint="the node before it produced nothing")
        length = max(length, len(values))
    return [
        {**literals, **{name: values[min(i, len(values) - 1)] for name, values in linked.items()}}
        for i in range(length)
    ]


def blocker_in(spec: NodeSpec, arguments: Mapping[str, Any]) -> ExecutionBlocker | None:
    """The first blocker among the arguments of a call."""
    for value in arguments.values():
        for item in value if spec.input_is_list and isinstance(value, list) else (value,):
            if isinstance(item, ExecutionBlocker):
                return item
    return None


@dataclass(frozen=True, slots=True)
class Row:
    """What one call gave. Where other nodes run in its place (``expand``), some of its ``values`` are links to them."""

    values: tuple[Any, ...]
    saved: tuple[SavedFile, ...] = ()
    ui: Mapping[str, Any] | None = None
    expand: Mapping[str, Any] | None = None


def row_of(spec: NodeSpec, returned: Any) -> Row:
    """What a call of the node returned; InputError when that is another number of outputs than it declares."""
    saved: tuple[SavedFile, ...] = ()
    ui = expand = None
    count = len(spec.outputs)
    if isinstance(returned, NodeResult):
        saved, ui, expand, values = returned.saved, returned.ui, returned.expand, tuple(returned.values)
        if len(values) == 1 and isinstance(values[0], ExecutionBlocker):
            values = values * count
    elif isinstance(returned, ExecutionBlocker):
        values = (returned,) * count
    elif count == 1:
        values = (returned,)
    else:
        values = tuple(returned) if returned is not None else ()
    if len(values) != count:
        raise InputError(f"{spec.name} returned {len(values)} values for {count} outputs")
    if expand is not None:
        values = tuple(value if (link := link_in(value)) is None else link for value in values)
    return Row(values, saved, ui, expand)


def links_in(rows: Sequence[Row]) -> list[Link]:
    """The links that stand for values of expansions."""
    return [value for row in rows if row.expand is not None for value in row.values if type(value) is Link]


def collect(spec: NodeSpec, rows: Sequence[Row], results: Mapping[Link, list[Any]]) -> Result:
    """One list an output from the rows of all calls; ``results`` has what the links in them stand for."""
    saved: list[SavedFile] = []
    ui: dict[str, Any] = {}
    for row in rows:
        saved += row.saved
        for name, shown in (row.ui or {}).items():
            ui[name] = [*ui.get(name, ()), *shown]
    outputs = []
    for slot, output in enumerate(spec.outputs):
        column: list[Any] = []
        for row in rows:
            value = row.values[slot]
            if row.expand is not None and type(value) is Link:
                column += results[value]
            elif output.is_list and not isinstance(value, ExecutionBlocker):
                column += value
            else:
                column.append(value)
        outputs.append(column)
    return Result(tuple(outputs), tuple(saved), ui)

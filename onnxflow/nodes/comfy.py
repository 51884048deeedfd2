"""Node classes made for ComfyUI (INPUT_TYPES, RETURN_TYPES, FUNCTION ...) as NodeSpecs.

They are given values in ComfyUI's shapes, as numpy arrays of their own, and may do all that such a class may:
take lists, block, ask for lazy inputs, make nodes to run in their place, be coroutines.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from onnxflow.nodes.comfy_inputs import declared_inputs, hidden_inputs, type_name, undeclared_input
from onnxflow.nodes.comfy_progress import running
from onnxflow.nodes.comfy_values import Seen, frozen_as, guessed, thawed
from onnxflow.nodes.graph_builder import GraphBuilder, is_link
from onnxflow.nodes.spec import Input, NodeResult, NodeSpec, Output
from onnxflow.values import ExecutionBlocker, SavedFile

if TYPE_CHECKING:
    from onnxflow.models.disk import Disk
    from onnxflow.nodes.context import Context

_MOST_INSTANCES: Final = 10_000
_INPUT_TYPES: Final = "input_types"


def spec_of_class(name: str, cls: Any, *, display_name: str | None = None, module: str = "custom_nodes") -> NodeSpec:
    """The node class ``cls`` under the name that workflows call it by; ValueError when it is no such class."""
    function_name = str(getattr(cls, "FUNCTION", ""))
    function = getattr(cls, function_name, None) if function_name else None
    if function is None or not callable(getattr(cls, "INPUT_TYPES", None)):
        raise ValueError("it has no INPUT_TYPES, or no FUNCTION that names one of its methods")
    inputs = declared_inputs(cls.INPUT_TYPES)
    outputs = _outputs(cls)
    takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
    adapted = _Adapted(cls, function_name, tuple(output.type for output in outputs), outputs)
    validate = getattr(cls, "VALIDATE_INPUTS", None)
    validates = _validates(validate, inputs) if validate is not None else ()
    return NodeSpec(
        name=name,
        function=adapted.call_later if inspect.iscoroutinefunction(function) else adapted.call,
        inputs=inputs,
        outputs=outputs,
        category=str(getattr(cls, "CATEGORY", "sd")),
        display_name=str(display_name or name),
        description=str(getattr(cls, "DESCRIPTION", "")),
        hidden=MappingProxyType(hidden_inputs(cls.INPUT_TYPES)),
        output_node=getattr(cls, "OUTPUT_NODE", False) is True,
        experimental=bool(getattr(cls, "EXPERIMENTAL", False)),
        deprecated=bool(getattr(cls, "DEPRECATED", False)),
        input_is_list=bool(getattr(cls, "INPUT_IS_LIST", False)),
        wants_context=True,
        runs=(),  # it has handles to models, and nothing to run them with
        validate=adapted.validate if validates else None,
        validates=validates if validates else None,
        fingerprint=adapted.fingerprint if hasattr(cls, "IS_CHANGED") else None,
        check_lazy_status=adapted.check_lazy_status if hasattr(cls, "check_lazy_status") else None,
        may_block=True,
        may_expand=True,
        not_idempotent=bool(getattr(cls, "NOT_IDEMPOTENT", False)),
        undeclared=undeclared_input(cls.INPUT_TYPES, takes_any=takes_any),
        module=module,
    )


def _outputs(cls: Any) -> tuple[Output, ...]:
    types = [type_name(declared) for declared in getattr(cls, "RETURN_TYPES", ()) or ()]
    names = list(getattr(cls, "RETURN_NAMES", None) or ())
    lists = list(getattr(cls, "OUTPUT_IS_LIST", None) or ())
    return tuple(
        Output(str(names[i]) if i < len(names) else type_, type_, bool(lists[i]) if i < len(lists) else False)
        for i, type_ in enumerate(types)
    )


def _validates(hook: Callable[..., Any], inputs: tuple[Input, ...]) -> tuple[str, ...]:
    """The inputs that VALIDATE_INPUTS names, all if it takes any."""
    parameters = inspect.signature(hook).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        named = [item.name for item in inputs]
        return tuple([*named, _INPUT_TYPES] if _INPUT_TYPES in parameters else named)
    return tuple(name for name in parameters if name != "cls")


class _Adapted:
    """One class, called as the engine calls nodes; it is made into an object once for each node of a workflow."""

    def __init__(self, cls: Any, function: str, types: tuple[str, ...], outputs: tuple[Output, ...]) -> None:
        self._class = cls
        self._function = function
        self._types = types
        self._outputs = outputs
        self._lists = bool(getattr(cls, "INPUT_IS_LIST", False))
        self._instances: dict[str, Any] = {}
        self._lock = threading.Lock()

    def call(self, ctx: Context, **values: Any) -> NodeResult:
        """One call of a plain method."""
        seen: Seen = {}
        method = self._method(ctx, self._function)
        with redirect_stdout(sys.stderr):  # of programs, too, whose stdout is no place for it
            returned = method(**self._given(values, seen))
        return self._result(returned, seen, ctx)

    async def call_later(self, ctx: Context, **values: Any) -> NodeResult:
        """One call of a coroutine method."""
        seen: Seen = {}
        method = self._method(ctx, self._function)
        return self._result(await method(**self._given(values, seen)), seen, ctx)

    def check_lazy_status(self, ctx: Context, **values: Any) -> Iterable[str]:
        """The names of inputs that the node still needs."""
        found = settled(self._method(ctx, "check_lazy_status")(**self._given(values, {})))
        return [name for name in found if isinstance(name, str)] if isinstance(found, (list, tuple, set)) else []

    def validate(self, disk: Disk, **given: Any) -> str | None:
        """What VALIDATE_INPUTS says: None for fine, a text or "" for not."""
        try:
            found = settled(self._class.VALIDATE_INPUTS(**self._listed(given, but=_INPUT_TYPES)))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if found is True or isinstance(found, ExecutionBlocker):
            return None
        return "" if found is False else str(found)

    def fingerprint(self, disk: Disk, **given: Any) -> str | None:
        """What IS_CHANGED says; None where that is not equal to itself."""
        names = inspect.signature(self._class.IS_CHANGED).parameters
        hidden = {name: None for name in hidden_inputs(self._class.INPUT_TYPES) if name in names}
        found = settled(self._class.IS_CHANGED(**self._listed({**hidden, **given})))
        if isinstance(found, float) and found != found:
            return None
        with np.printoptions(threshold=sys.maxsize):  # an array's every number counts
            return repr(found)

    def _listed(self, given: Mapping[str, Any], but: str = "") -> dict[str, Any]:
        return {name: [value] if self._lists and name != but else value for name, value in given.items()}

    def _given(self, values: Mapping[str, Any], seen: Seen) -> dict[str, Any]:
        if self._lists:
            return {name: [thawed(item, seen) for item in listed] for name, listed in values.items()}
        return {name: thawed(value, seen) for name, value in values.items()}

    def _method(self, ctx: Context, name: str) -> Callable[..., Any]:
        """The method of the node's own object."""
        GraphBuilder.set_default_prefix(ctx.node.id, ctx.call)
        running.set(ctx)
        with self._lock:
            found = self._instances.get(ctx.node.id)
            if found is None:
                if len(self._instances) >= _MOST_INSTANCES:
                    del self._instances[next(iter(self._instances))]
                found = self._instances[ctx.node.id] = self._class()
        method: Callable[..., Any] = getattr(found, name)
        return method

    def _result(self, returned: Any, seen: Seen, ctx: Context) -> NodeResult:
        ui: Mapping[str, Any] = {}
        expand = None
        if isinstance(returned, dict):
            ui, expand = returned.get("ui") or {}, returned.get("expand")
            returned = returned.get("result", (None,) * len(self._types))
        if isinstance(returned, ExecutionBlocker):
            values: tuple[Any, ...] = (returned,) * len(self._types)
        elif isinstance(returned, (tuple, list)):
            values = tuple(returned)[: len(self._types)]  # what there is no output for, nobody can link to
        else:
            values = (returned,) if self._types else ()
        values = tuple(self._frozen(value, slot, seen, linked=expand is not None) for slot, value in enumerate(values))
        if expand is not None:
            expand = {node_id: _frozen_entry(entry, seen) for node_id, entry in expand.items()}
        shown = {name: items if isinstance(items, (list, tuple)) else [items] for name, items in ui.items()}
        return NodeResult(values, _saved(shown, ctx.disk), shown, expand)

    def _frozen(self, value: Any, slot: int, seen: Seen, *, linked: bool) -> Any:
        if isinstance(value, ExecutionBlocker) or (linked and is_link(value)):
            return value
        output = self._outputs[slot]
        if output.is_list and isinstance(value, (list, tuple)):
            return [
                item if isinstance(item, ExecutionBlocker) else frozen_as(item, output.type, seen) for item in value
            ]
        return frozen_as(value, output.type, seen)


def _frozen_entry(entry: Any, seen: Seen) -> Any:
    """A node of an expansion, the values in it as ours."""
    if not isinstance(entry, Mapping) or not isinstance(entry.get("inputs"), Mapping):
        return entry
    inputs = {n: value if is_link(value) else guessed(value, seen) for n, value in entry["inputs"].items()}
    return {**entry, "inputs": inputs}


def _saved(ui: Mapping[str, Any], disk: Disk) -> tuple[SavedFile, ...]:
    """The files that a node says it wrote, in the way of ComfyUI's clients, as far as they are there."""
    roots = {"output": disk.folders.output, "temp": disk.folders.temp}
    found = []
    for entries in ui.values():
        for entry in entries:
            if not isinstance(entry, Mapping) or entry.get("type") not in roots:
                continue
            name, subfolder = entry.get("filename"), entry.get("subfolder") or ""
            if not isinstance(name, str) or not isinstance(subfolder, str):
                continue
            root = roots[entry["type"]].resolve()
            path = Path(root, subfolder, name)
            if path.resolve().is_relative_to(root) and path.is_file():
                found.append(SavedFile(path, name, subfolder, entry["type"]))
    return tuple(found)


def settled(found: Any) -> Any:
    """What a hook gave; of a coroutine, its result, in a loop of its own."""
    if not inspect.iscoroutine(found):
        return found
    return _run(found)


def _run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run it in a thread: this one may have a loop already."""
    results: list[Any] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(asyncio.run(coroutine))
        except BaseException as error:  # handed to the caller below
            errors.append(error)

    thread = threading.Thread(target=work, name="onnxflow-hook")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]

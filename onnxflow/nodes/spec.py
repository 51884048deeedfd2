"""What a node is: its sockets, declared by annotating a plain function.

::

    @node("EmptyLatentImage", category="latent")
    def empty_latent_image(width: Size = 512, height: Size = 512, batch_size: Batch = 1) -> Latent:

A parameter's annotation is its input: ``Annotated[int, Int(...)]`` and its kin for values typed into the node, a class
with a ``SOCKET`` name for links, ``Annotated[Any, Hidden("PROMPT")]`` for what the engine fills in. A first parameter
called ``ctx`` receives the Context. What is returned is its outputs: such classes, or plain int, float, str and bool.
Declaring registers nothing: a catalog collects what its modules define.
Imports neither numpy nor onnxruntime, so that a workflow can be checked without them.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, get_args, get_origin

from onnxflow.nodes.widgets import Boolean, Choices, Combo, Float, Hidden, Int, Lazy, Omissible, RawLink, String

if TYPE_CHECKING:
    from onnxflow.models.disk import Disk
    from onnxflow.values import SavedFile

MISSING: Final = inspect.Parameter.empty
"""Stands for "no default" and "no value given"."""

_WIDGETS = (Int, Float, String, Boolean, Combo)
_PLAIN: Final = {int: "INT", float: "FLOAT", str: "STRING", bool: "BOOLEAN"}


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a node: its socket type and, for typed-in values, what is allowed.

    What is linked to a ``lazy`` input runs only when the node asks for it; a ``raw`` one is given the link itself. A
    ``free`` one takes any JSON value beside links, whatever its type.
    """

    name: str
    type: str
    required: bool = True
    default: Any = MISSING
    choices: Choices | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    accepts: Callable[[Disk, str], bool] | None = None
    explain: Callable[[Disk, str], str] | None = None
    refuse: Callable[[str], str | None] | None = None
    tells_default: bool = True
    lazy: bool = False
    raw: bool = False
    free: bool = False

    def allowed(self, disk: Disk) -> tuple[str, ...] | None:
        """The choices at this moment, or None when any value of the type will do."""
        if self.choices is None or isinstance(self.choices, tuple):
            return self.choices
        return tuple(self.choices(disk))

    def describe(self, disk: Disk) -> list[Any]:
        """The input as /object_info writes it: ``[type or choices, options]``."""
        options = dict(self.options)
        if self.default is not MISSING and self.tells_default:
            options = {"default": self.default, **options}
        allowed = self.allowed(disk)
        return [list(allowed) if allowed is not None else self.type, options]


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a node."""

    name: str
    type: str
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What an output node returns: its outputs and the files it wrote.

    A node that ``may_expand`` returns in ``expand`` nodes that are to run in its place, in the API format, under ids
    that begin with its own; among ``values``, a link to one of them (``[id, output]``) stands for what that gives.
    """

    values: tuple[Any, ...] = ()
    saved: tuple[SavedFile, ...] = ()
    ui: Mapping[str, Any] = field(default_factory=dict)
    expand: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node class: sockets, and the function that does the work.

    ``validate(disk, ...)`` returns None or what is wrong, ``fingerprint(disk, ...)`` what the result depends on besides
    its inputs (a file's hash, say). Both receive the inputs they name as parameters: a value, or None for a link. An
    input that ``validate`` names is its alone: range and choices are not looked at, as in ComfyUI. A ``validate`` whose
    names are given in ``validates`` receives those of them that the workflow has, and with ``input_types`` the types of
    what is linked, which are then its own affair; it answers "" where it does not say what is wrong. A ``fingerprint``
    that takes ``**`` receives all that the workflow has; one that returns None, or fails, says that the result is never
    the same. ``runs`` names the components of models that the function runs; None when it does not say.

    What a class does beyond being called once its inputs are there, it says, so that workflows without are planned
    ahead: ``may_block`` returns a values.ExecutionBlocker, ``may_expand`` a NodeResult with ``expand``;
    ``check_lazy_status`` gives, for the inputs so far (None for what is missing), the names of those still needed; a
    coroutine function runs beside others. A class that is ``not_idempotent`` shares no result with an equal node.
    ``undeclared`` gives the input for a name that is not declared, or None where the class takes none of that name.
    """

    name: str
    function: Callable[..., Any]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    category: str
    display_name: str | None = None
    description: str = ""
    hidden: Mapping[str, str] = field(default_factory=dict)
    output_node: bool = False
    experimental: bool = False
    deprecated: bool = False
    input_is_list: bool = False
    wants_context: bool = False
    runs: tuple[str, ...] | None = None
    validate: Callable[..., str | None] | None = None
    fingerprint: Callable[..., str | None] | None = None
    check_lazy_status: Callable[..., Iterable[str]] | None = None
    may_block: bool = False
    may_expand: bool = False
    not_idempotent: bool = False
    undeclared: Callable[[str], Input | None] | None = None
    validates: tuple[str, ...] | None = None
    module: str = "onnxflow.nodes"
    by_name: Mapping[str, Input] = field(init=False, repr=False, compare=False)
    validated: tuple[str, ...] = field(init=False, repr=False, compare=False)
    fingerprinted: tuple[str, ...] | None = field(init=False, repr=False, compare=False)
    by_id: bool = field(init=False, repr=False, compare=False)
    is_async: bool = field(init=False, repr=False, compare=False)
    dynamic: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", MappingProxyType({i.name: i for i in self.inputs}))
        is_async = inspect.iscoroutinefunction(self.function)
        lazy = any(i.lazy or i.raw for i in self.inputs)
        object.__setattr__(self, "validated", _names(self.validate) if self.validates is None else self.validates)
        object.__setattr__(self, "fingerprinted", None if _takes_all(self.fingerprint) else _names(self.fingerprint))
        object.__setattr__(self, "by_id", self.not_idempotent or "UNIQUE_ID" in self.hidden.values())
        object.__setattr__(self, "is_async", is_async)
        object.__setattr__(self, "dynamic", is_async or lazy or self.may_block or self.may_expand)

    def describe(self, disk: Disk) -> dict[str, Any]:
        """The class as ComfyUI's /object_info writes it."""
        sections: dict[str, dict[str, Any]] = {}
        for item in self.inputs:
            sections.setdefault("required" if item.required else "optional", {})[item.name] = item.describe(disk)
        if self.hidden:
            sections["hidden"] = dict(self.hidden)
        return {
            "input": sections,
            "input_order": {section: list(items) for section, items in sections.items()},
            "output": [o.type for o in self.outputs],
            "output_is_list": [o.is_list for o in self.outputs],
            "output_name": [o.name for o in self.outputs],
            "name": self.name,
            "display_name": self.display_name,
            "description": self.description,
            "python_module": self.module,
            "category": self.category,
            "output_node": self.output_node,
            **({"deprecated": True} if self.deprecated else {}),
            **({"experimental": True} if self.experimental else {}),
        }


def node(
    name: str,
    *,
    category: str,
    display_name: str | None = None,
    output_names: tuple[str, ...] | None = None,
    output_node: bool = False,
    experimental: bool = False,
    deprecated: bool = False,
    input_is_list: bool = False,
    output_is_list: tuple[bool, ...] | None = None,
    runs: tuple[str, ...] | None = None,
    validate: Callable[..., str | None] | None = None,
    fingerprint: Callable[..., str | None] | None = None,
    check_lazy_status: Callable[..., Iterable[str]] | None = None,
    may_block: bool = False,
    may_expand: bool = False,
    not_idempotent: bool = False,
) -> Callable[[Callable[..., Any]], NodeSpec]:
    """Declare the decorated function as the node class ``name``; TypeError when an annotation says no socket."""

    def declare(function: Callable[..., Any]) -> NodeSpec:
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())
        wants_context = bool(parameters) and parameters[0].name == "ctx"
        inputs: list[Input] = []
        hidden: dict[str, str] = {}
        for parameter in parameters[1 if wants_context else 0 :]:
            declared = _declared(hints[parameter.name])
            if isinstance(declared, Hidden):
                hidden[parameter.name] = declared.type
            else:
                extras = getattr(hints[parameter.name], "__metadata__", ())
                inputs.append(_input(name, parameter, declared, extras))
        types = _output_types(name, hints.get("return"), output_node)
        names = output_names or types
        lists = output_is_list or (False,) * len(types)
        return NodeSpec(
            name=name,
            function=function,
            inputs=tuple(inputs),
            outputs=tuple(Output(n, t, is_list) for n, t, is_list in zip(names, types, lists, strict=True)),
            category=category,
            display_name=display_name,
            description=inspect.getdoc(function) or "",
            hidden=MappingProxyType(hidden),
            output_node=output_node,
            experimental=experimental,
            deprecated=deprecated,
            input_is_list=input_is_list,
            wants_context=wants_context,
            runs=runs,
            validate=validate,
            fingerprint=fingerprint,
            check_lazy_status=check_lazy_status,
            may_block=may_block,
            may_expand=may_expand,
            not_idempotent=not_idempotent,
        )

    return declare


def _names(hook: Callable[..., Any] | None) -> tuple[str, ...]:
    """The inputs a hook asks for: its parameters after ``disk``."""
    return tuple(inspect.signature(hook).parameters)[1:] if hook is not None else ()


def _takes_all(hook: Callable[..., Any] | None) -> bool:
    """Whether a hook takes whatever it is given."""
    parameters = inspect.signature(hook).parameters.values() if hook is not None else ()
    return any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)


def _declared(hint: Any) -> Any:
    """The socket declaration inside an annotation: a widget, a Hidden, a socket's type name, or None."""
    if get_origin(hint) is Annotated:
        for extra in get_args(hint)[1:]:
            if isinstance(extra, (*_WIDGETS, Hidden)):
                return extra
        hint = get_args(hint)[0]
    members = [m for m in get_args(hint) if m is not type(None)] if get_args(hint) else [hint]
    return getattr(members[0], "SOCKET", None)


def _input(node_name: str, parameter: inspect.Parameter, declared: Any, extras: tuple[Any, ...]) -> Input:
    omissible = next((extra for extra in extras if isinstance(extra, Omissible)), None)
    lazy = any(isinstance(extra, Lazy) for extra in extras)
    if isinstance(declared, str):
        raw = any(isinstance(extra, RawLink) for extra in extras)
        options = {**({"lazy": True} if lazy else {}), **({"rawLink": True} if raw else {})}
        required = parameter.default is MISSING
        return Input(parameter.name, declared, required, options=MappingProxyType(options), lazy=lazy, raw=raw)
    if declared is None:
        raise TypeError(f"{node_name}: parameter {parameter.name!r} is annotated with no socket type")
    return Input(
        name=parameter.name,
        type=declared.type,
        required=omissible is None,
        tells_default=omissible is None or omissible.tells_default,
        default=parameter.default,
        choices=declared.choices if isinstance(declared, Combo) else None,
        options=MappingProxyType({**declared.options(), **({"lazy": True} if lazy else {})}),
        accepts=declared.accepts if isinstance(declared, Combo) else None,
        explain=declared.explain if isinstance(declared, Combo) else None,
        refuse=declared.refuse if isinstance(declared, Combo) else None,
        lazy=lazy,
    )


def _output_types(node_name: str, hint: Any, output_node: bool) -> tuple[str, ...]:
    if hint in (None, type(None), NodeResult):
        if not output_node:
            raise TypeError(f"{node_name}: returns nothing and is no output node")
        return ()
    members = get_args(hint) if get_origin(hint) is tuple else (hint,)
    types = [_PLAIN.get(member) or _declared(member) for member in members]
    if not all(isinstance(t, str) for t in types):
        raise TypeError(f"{node_name}: the return annotation {hint!r} names something that is no socket")
    return tuple(types)

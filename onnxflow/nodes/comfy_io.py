"""What newer node packs import from ``comfy_api.latest`` as ``io``: a class declares a Schema and returns a NodeOutput.

Only the shapes: each such class is made into one of the older kind (``INPUT_TYPES`` and so on), which comfy.py adapts.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import SimpleNamespace
from typing import Any, ClassVar

from onnxflow.values import ExecutionBlocker


class Hidden(StrEnum):
    """What the engine fills in; a class finds it in ``cls.hidden``."""

    unique_id = "UNIQUE_ID"
    prompt = "PROMPT"
    extra_pnginfo = "EXTRA_PNGINFO"
    dynprompt = "DYNPROMPT"
    auth_token_comfy_org = "AUTH_TOKEN_COMFY_ORG"
    api_key_comfy_org = "API_KEY_COMFY_ORG"


class NumberDisplay(StrEnum):
    """How an editor shows a number."""

    number = "number"
    slider = "slider"


@dataclass(frozen=True, slots=True)
class DeclaredInput:
    """An input of a Schema, as the older kind writes it."""

    id: str
    type: str
    optional: bool
    options: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeclaredOutput:
    """An output of a Schema."""

    type: str
    name: str | None
    is_list: bool


class Socket:
    """A type with its ways to declare an input and an output."""

    def __init__(self, io_type: str) -> None:
        self.io_type = io_type

    def Input(
        self,
        id: str,
        display_name: str | None = None,
        optional: bool = False,
        tooltip: str | None = None,
        lazy: bool | None = None,
        extra_dict: Mapping[str, Any] | None = None,
        raw_link: bool | None = None,
        **options: Any,
    ) -> DeclaredInput:
        found = {_NAMES.get(name, name): _plain(value) for name, value in options.items() if value is not None}
        known = {"display_name": display_name, "tooltip": tooltip, "lazy": lazy, "rawLink": raw_link}
        found |= {name: value for name, value in known.items() if value is not None}
        return DeclaredInput(id, self.io_type, optional, {**found, **(extra_dict or {})})

    def Output(
        self,
        id: str | None = None,
        display_name: str | None = None,
        tooltip: str | None = None,
        is_output_list: bool = False,
    ) -> DeclaredOutput:
        return DeclaredOutput(self.io_type, display_name or id, is_output_list)


class _Several(Socket):
    """One of several types."""

    def Input(self, id: Any, types: Sequence[Any] = (), **options: Any) -> DeclaredInput:  # type: ignore[override]
        joined = ",".join(getattr(one, "io_type", str(one)) for one in types)
        base = id.id if isinstance(id, DeclaredInput) else id
        return Socket(joined).Input(base, **options)


_NAMES = {"dynamic_prompts": "dynamicPrompts", "force_input": "forceInput", "display_mode": "display"}


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, type) and issubclass(value, Enum):
        return [member.value for member in value]
    return value


def Custom(io_type: str) -> Socket:
    """A type of the pack's own."""
    return Socket(io_type)


@dataclass(slots=True)
class Schema:
    """What a class is: names, inputs, outputs, and what it does beyond being called."""

    node_id: str
    display_name: str | None = None
    category: str = "sd"
    inputs: list[DeclaredInput] = field(default_factory=list)
    outputs: list[DeclaredOutput] = field(default_factory=list)
    hidden: list[Hidden] = field(default_factory=list)
    description: str = ""
    is_input_list: bool = False
    is_output_node: bool = False
    is_deprecated: bool = False
    is_experimental: bool = False
    is_api_node: bool = False
    not_idempotent: bool = False
    enable_expand: bool = False


class NodeOutput:
    """What a class returns: values, what clients are shown, nodes to run in its place, or that its readers are not to
    run."""

    def __init__(
        self,
        *args: Any,
        ui: Any = None,
        expand: Mapping[str, Any] | None = None,
        block_execution: str | None = None,
    ) -> None:
        self.args = args
        self.ui = ui
        self.expand = expand
        self.block_execution = block_execution

    @property
    def result(self) -> tuple[Any, ...] | None:
        return self.args or None


class ComfyNode:
    """The base of classes of the newer kind."""

    hidden: ClassVar[Any] = SimpleNamespace()

    @classmethod
    def define_schema(cls) -> Schema:
        raise TypeError(f"{cls.__name__} has no define_schema")


class ComfyExtension:
    """A pack of the newer kind, as its comfy_entrypoint gives it."""

    async def on_load(self) -> None:
        """Called once, before the classes are asked for."""

    async def get_node_list(self) -> list[type[ComfyNode]]:
        return []


def older(node: type[ComfyNode]) -> type:
    """A class of the older kind that does what ``node`` does."""
    schema = node.define_schema()
    kinds = {hidden.name: hidden.value for hidden in schema.hidden}

    def ready(given: dict[str, Any]) -> Any:
        """The class with its hidden values, which are taken out of the arguments."""
        values = {name: given.pop(name, None) for name in kinds}
        return type(node.__name__, (node,), {"hidden": SimpleNamespace(**values)})

    def input_types(cls: type) -> dict[str, Any]:
        sections: dict[str, Any] = {"required": {}, "optional": {}, "hidden": kinds}
        for item in schema.inputs:
            sections["optional" if item.optional else "required"][item.id] = (item.type, dict(item.options))
        return sections

    def run(self: Any, **given: Any) -> Any:
        return _returned(ready(given).execute(**given))

    async def run_later(self: Any, **given: Any) -> Any:
        return _returned(await ready(given).execute(**given))

    is_async = inspect.iscoroutinefunction(node.execute)  # type: ignore[attr-defined]
    members: dict[str, Any] = {
        "INPUT_TYPES": classmethod(input_types),
        "RETURN_TYPES": tuple(output.type for output in schema.outputs),
        "RETURN_NAMES": tuple(output.name or output.type for output in schema.outputs),
        "OUTPUT_IS_LIST": tuple(output.is_list for output in schema.outputs),
        "FUNCTION": "run",
        "CATEGORY": schema.category,
        "DESCRIPTION": schema.description,
        "OUTPUT_NODE": schema.is_output_node,
        "INPUT_IS_LIST": schema.is_input_list,
        "DEPRECATED": schema.is_deprecated,
        "EXPERIMENTAL": schema.is_experimental,
        "NOT_IDEMPOTENT": schema.not_idempotent,
        "run": run_later if is_async else run,
    }
    for theirs, ours in (("validate_inputs", "VALIDATE_INPUTS"), ("fingerprint_inputs", "IS_CHANGED")):
        if hasattr(node, theirs):
            members[ours] = getattr(node, theirs)
    if hasattr(node, "check_lazy_status"):
        members["check_lazy_status"] = lambda self, **given: ready(given).check_lazy_status(**given)
    return type(node.__name__, (), members)


def _returned(found: Any) -> Any:
    """What a class of the older kind would return."""
    if not isinstance(found, NodeOutput):
        return found
    if found.block_execution is not None:
        return ExecutionBlocker(found.block_execution)
    ui = found.ui.as_dict() if hasattr(found.ui, "as_dict") else found.ui
    returned: dict[str, Any] = {"result": found.args}
    if ui is not None:
        returned["ui"] = ui
    if found.expand is not None:
        returned["expand"] = found.expand
    return returned


AnyType = Socket("*")
Boolean = Socket("BOOLEAN")
Int = Socket("INT")
Float = Socket("FLOAT")
String = Socket("STRING")
Combo = Socket("COMBO")
MultiType = _Several("*")
Image = Socket("IMAGE")
Mask = Socket("MASK")
Latent = Socket("LATENT")
Conditioning = Socket("CONDITIONING")
Sampler = Socket("SAMPLER")
Sigmas = Socket("SIGMAS")
Noise = Socket("NOISE")
Guider = Socket("GUIDER")
Model = Socket("MODEL")
Clip = Socket("CLIP")
Vae = Socket("VAE")
ControlNet = Socket("CONTROL_NET")
ClipVision = Socket("CLIP_VISION")
ClipVisionOutput = Socket("CLIP_VISION_OUTPUT")
StyleModel = Socket("STYLE_MODEL")
Gligen = Socket("GLIGEN")
UpscaleModel = Socket("UPSCALE_MODEL")
LatentOperation = Socket("LATENT_OPERATION")
Audio = Socket("AUDIO")
Video = Socket("VIDEO")
FlowControl = Socket("FLOW_CONTROL")
Accumulation = Socket("ACCUMULATION")

"""A node class as editors know it: its sockets and the values typed into it, whether it can run here or not.

It is read from what ComfyUI's /object_info says of a class, which our own classes are described in, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

WIDGETS: Final = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
"""The types that editors have a widget for."""

_EDITORS: Final = ("AUDIO_RECORD", "LOAD_3D", "LOAD_3D_ANIMATION", "WEBCAM")  # what an editor has a part of its own for
_UPLOADS: Final = ("image_upload", "video_upload", "audio_upload")
_SEEDS: Final = ("seed", "noise_seed")


@dataclass(frozen=True, slots=True)
class DefinedInput:
    """One input: its type, "COMBO" where it is one of ``choices``; and what an editor makes of it.

    ``widget``: it is typed in. ``control``: behind it an editor keeps what becomes of it after a run. ``upload``: an
    editor adds a button to the node. ``forced``: it would be typed in, were it not only to be linked. ``lowest`` and
    ``highest`` bound a number.
    """

    name: str
    type: str
    required: bool
    choices: tuple[Any, ...] | None
    default: Any
    widget: bool
    control: bool
    upload: bool
    forced: bool
    dynamic: bool
    lowest: float | None = None
    highest: float | None = None

    @property
    def initial(self) -> Any:
        """What an editor puts into a new node."""
        if self.default is not None:
            return self.default
        if self.choices is not None:
            return self.choices[0] if self.choices else None
        return {"INT": 0, "FLOAT": 0, "BOOLEAN": False}.get(self.type, "")


@dataclass(frozen=True, slots=True)
class DefinedOutput:
    """One output."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Definition:
    """A node class. ``inputs`` are in the order of the class: the required ones, then the optional ones."""

    name: str
    title: str
    inputs: tuple[DefinedInput, ...]
    outputs: tuple[DefinedOutput, ...]
    category: str
    module: str
    output_node: bool

    @property
    def sockets(self) -> tuple[DefinedInput, ...]:
        """The inputs that can only be linked."""
        return tuple(one for one in self.inputs if not one.widget)

    @property
    def widgets(self) -> tuple[DefinedInput, ...]:
        """The inputs that are typed in."""
        return tuple(one for one in self.inputs if one.widget)


def read_definition(name: str, info: Mapping[str, Any]) -> Definition:
    """The class that an entry of /object_info describes."""
    sections: Mapping[str, Any] = info.get("input", {})
    order: Mapping[str, Any] = info.get("input_order", {})
    inputs = [
        _input(key, section[key], required=title == "required")
        for title, section in ((title, sections.get(title) or {}) for title in ("required", "optional"))
        for key in order.get(title) or section
        if key in section
    ]
    types = info.get("output") or ()
    names = info.get("output_name") or types
    outputs = tuple(DefinedOutput(str(n), _type(t)) for n, t in zip(names, types, strict=False))
    return Definition(
        name=name,
        title=str(info.get("display_name") or name),
        inputs=tuple(inputs),
        outputs=outputs,
        category=str(info.get("category", "")),
        module=str(info.get("python_module", "")),
        output_node=bool(info.get("output_node")),
    )


def _input(name: str, described: Any, *, required: bool) -> DefinedInput:
    kind, *rest = described if isinstance(described, (list, tuple)) and described else (described,)
    options: Mapping[str, Any] = rest[0] if rest and isinstance(rest[0], Mapping) else {}
    choices = kind if isinstance(kind, (list, tuple)) else options.get("options") if kind == "COMBO" else None
    type_ = _type(kind)
    typed = type_ in WIDGETS or type_ in _EDITORS
    forced = bool(options.get("forceInput"))
    control = bool(options.get("control_after_generate")) or (type_ == "INT" and name in _SEEDS)
    return DefinedInput(
        name=name,
        type=type_,
        required=required,
        choices=tuple(choices) if isinstance(choices, (list, tuple)) else None,
        default=options.get("default"),
        widget=typed and not forced,
        control=control and type_ in ("INT", "COMBO"),
        upload=any(options.get(key) for key in _UPLOADS),
        forced=typed and forced,
        dynamic=type_ == "STRING" and bool(options.get("dynamicPrompts")),
        lowest=options.get("min"),
        highest=options.get("max"),
    )


def _type(kind: Any) -> str:
    return "COMBO" if isinstance(kind, (list, tuple)) else str(kind)

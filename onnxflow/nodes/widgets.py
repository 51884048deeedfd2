"""How a value is typed into a node: what its input allows, declared inside an annotation.

::

    Size = Annotated[int, Int(min=16, max=16384, step=8)]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxflow.models.disk import Disk

Choices = tuple[str, ...] | Callable[["Disk"], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number between ``min`` and ``max``; None for no limit."""

    min: int | None = 0
    max: int | None = 2048
    step: int | None = None
    control_after_generate: bool = False
    display: str | None = None

    type = "INT"

    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.min is not None:
            found["min"] = self.min
        if self.max is not None:
            found["max"] = self.max
        if self.step is not None:
            found["step"] = self.step
        if self.control_after_generate:
            found["control_after_generate"] = True
        if self.display is not None:
            found["display"] = self.display
        return found


# Compared by identity: Annotated[float, Float(0, 1)] and Annotated[float, Float(0.0, 1.0)] would be one object to
# typing, which remembers what is equal, and 0 and 0.0 are two things to a client.
@dataclass(frozen=True, slots=True, eq=False)
class Float:
    """A number between ``min`` and ``max``; editors round it to ``round``, False for not at all."""

    min: float
    max: float
    step: float | None = None
    round: float | bool | None = None

    type = "FLOAT"

    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = {"min": self.min, "max": self.max}
        if self.step is not None:
            found["step"] = self.step
        if self.round is not None:
            found["round"] = self.round
        return found


@dataclass(frozen=True, slots=True)
class String:
    """A text; ``multiline`` is None where ComfyUI says nothing about it, which is one line."""

    multiline: bool | None = None
    dynamic_prompts: bool = False

    type = "STRING"

    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.multiline is not None:
            found["multiline"] = self.multiline
        if self.dynamic_prompts:
            found["dynamicPrompts"] = True
        return found


@dataclass(frozen=True, slots=True)
class Boolean:
    """Yes or no."""

    type = "BOOLEAN"

    def options(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True, slots=True)
class Combo:
    """One of ``choices``, which may be read from the disk at the time of asking; None for any name.

    An editor uploads pictures into ``image_folder``, and asks the server's ``remote`` route for the names there are.
    ``accepts(disk, value)`` says whether a text that is not among them stands for one that is; ``explain(disk, value)``
    what to do about a value that is not allowed; ``refuse(value)`` why one that is allowed cannot be used in this
    version, or None. An editor hides an ``advanced`` one at first.
    """

    choices: Choices | None
    image_upload: bool = False
    image_folder: str | None = None
    remote: Mapping[str, Any] | None = None
    accepts: Callable[[Disk, str], bool] | None = None
    explain: Callable[[Disk, str], str] | None = None
    refuse: Callable[[str], str | None] | None = None
    advanced: bool = False

    type = "COMBO"

    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = {"image_upload": True} if self.image_upload else {}
        if self.image_folder is not None:
            found["image_folder"] = self.image_folder
        if self.remote is not None:
            found["remote"] = dict(self.remote)
        if self.advanced:
            found["advanced"] = True
        return found


@dataclass(frozen=True, slots=True)
class Hidden:
    """Filled in by the engine: PROMPT, DYNPROMPT, EXTRA_PNGINFO, UNIQUE_ID."""

    type: str


@dataclass(frozen=True, slots=True)
class Omissible:
    """Beside a widget: a workflow may leave the input out, which then has its default; editors are told which, or
    take the first choice."""

    tells_default: bool = True


@dataclass(frozen=True, slots=True)
class Lazy:
    """Beside a socket or a widget: what is linked to the input runs only when the node asks for it."""


@dataclass(frozen=True, slots=True)
class RawLink:
    """Beside a socket: the node is given the link itself, ``[node id, output]``, and not what comes through it."""


Widget = Int | Float | String | Boolean | Combo

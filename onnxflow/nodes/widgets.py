"""How a value is typed into a node: what its input allows, declared inside an annotation.

::

    Size = Annotated[int, Int(min=16, max=16384, step=8)]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnxflow.models.disk import Disk

Choices = tuple[str, ...] | Callable[["Disk"], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number between ``min`` and ``max``."""

    min: int = 0
    max: int = 2048
    step: int | None = None
    control_after_generate: bool = False

    type = "INT"

    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = {"min": self.min, "max": self.max}
        if self.step is not None:
            found["step"] = self.step
        if self.control_after_generate:
            found["control_after_generate"] = True
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
    """A text."""

    multiline: bool = False
    dynamic_prompts: bool = False

    type = "STRING"

    def options(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if self.multiline:
            found["multiline"] = True
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
    """One of ``choices``, which may be read from the disk at the time of asking.

    ``accepts(disk, value)`` says whether a text that is not among them stands for one that is; ``explain(disk, value)``
    what to do about a value that is not allowed; ``refuse(value)`` why one that is allowed cannot be used in this
    version, or None.
    """

    choices: Choices
    image_upload: bool = False
    accepts: Callable[[Disk, str], bool] | None = None
    explain: Callable[[Disk, str], str] | None = None
    refuse: Callable[[str], str | None] | None = None

    type = "COMBO"

    def options(self) -> dict[str, Any]:
        return {"image_upload": True} if self.image_upload else {}


@dataclass(frozen=True, slots=True)
class Hidden:
    """Filled in by the engine: PROMPT, EXTRA_PNGINFO, UNIQUE_ID."""

    type: str


Widget = Int | Float | String | Boolean | Combo

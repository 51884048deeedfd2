"""Areas: the rectangle of a latent that a condition holds for, and how its weight fades at its edges.

All numbers are latent units, one eighth of a pixel's for Stable Diffusion, unless they are said to be shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from onnxflow.errors import InputError, shown
from onnxflow.sampling.protocols import Array

# An edge fades over this many rows, and over no more than a quarter of the area.
_FEATHER: Final = 8
_PART_TO_FADE: Final = 4

# The smallest area that the bounds of a mask give.
_LEAST_BOUNDS: Final = 8

_WHERE: Final = "guidance"


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in latent units, its offsets from the upper left corner; it may reach over the latent's border."""

    height: int
    width: int
    y: int = 0
    x: int = 0

    @property
    def size(self) -> int:
        """How many places it covers."""
        return self.height * self.width

    def holds(self, other: Area) -> bool:
        """Whether ``other`` lies within it."""
        return (
            self.y <= other.y
            and self.x <= other.x
            and other.y + other.height <= self.y + self.height
            and other.x + other.width <= self.x + self.width
        )

    def clipped(self, height: int, width: int) -> Area:
        """The part of it that a latent has; InputError when there is none."""
        if self.y >= height or self.x >= width:
            raise InputError(
                f"a condition's area of height {self.height} and width {self.width} at y {self.y}, x {self.x} lies"
                f" outside the latent, which is {height} high and {width} wide (all in latent units)",
                where=_WHERE,
                hint="move the area into the picture, or make the picture larger",
            )
        return Area(min(height - self.y, self.height), min(width - self.x, self.width), self.y, self.x)

    def of(self, array: Array) -> Array:
        """The area's part of an array [..., height, width], as a view."""
        part: Array = array[..., self.y : self.y + self.height, self.x : self.x + self.width]
        return part


@dataclass(frozen=True, slots=True)
class AreaShare:
    """A rectangle in shares (0..1) of a latent's height and width."""

    height: float
    width: float
    y: float = 0.0
    x: float = 0.0

    def resolved(self, height: int, width: int) -> Area:
        """The area in a latent of this size: rounded to whole units (halves to even), at least one unit large."""
        return Area(
            max(1, round(self.height * height)),
            max(1, round(self.width * width)),
            round(self.y * height),
            round(self.x * width),
        )


def read_area(value: Any) -> Area | AreaShare:
    """The area of a condition's option: (height, width, y, x) in latent units, or ("percentage", height, width, y, x)
    in shares; InputError for anything else."""
    parts = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
    if len(parts) == 5 and parts[0] == "percentage":
        shares = parts[1:]
        if all(isinstance(part, (int, float)) and 0 <= part <= 1 for part in shares):
            return AreaShare(*shares)
    elif len(parts) == 4 and all(_is_whole(part) for part in parts):
        height, width, y, x = (int(part) for part in parts)
        if height >= 1 and width >= 1 and y >= 0 and x >= 0:
            return Area(height, width, y, x)
    raise InputError(
        f"the area of a condition is {shown(value)}, expected (height, width, y, x) in latent units, sizes from 1 and"
        ' offsets from 0, or ("percentage", height, width, y, x) in shares from 0 to 1',
        where=_WHERE,
        hint="set it with ConditioningSetArea or ConditioningSetAreaPercentage",
    )


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())


def bounds(mask: Array) -> Area:
    """The smallest area, of at least 8 by 8, that holds all places where a row of ``mask`` [n,h,w] is not 0; 8 by 8 in
    the corner when it is 0 everywhere."""
    present = (mask != 0).any(axis=0)
    if not present.any():
        return Area(_LEAST_BOUNDS, _LEAST_BOUNDS)
    rows, columns = np.flatnonzero(present.any(axis=1)), np.flatnonzero(present.any(axis=0))
    top, bottom, left, right = (int(place) for place in (rows[0], rows[-1], columns[0], columns[-1]))
    return Area(max(_LEAST_BOUNDS, bottom - top + 1), max(_LEAST_BOUNDS, right - left + 1), top, left)


def feather(area: Area, height: int, width: int) -> tuple[Array, Array]:
    """How the weight of an area within a latent of this size fades: factors (0..1] of its rows [h,1] and of its
    columns [1,w].

    They rise linearly from each edge that is not the latent's own, over 8 units or a quarter of the area.
    """
    rows = _ramp(area.height, area.y > 0, area.y + area.height < height)
    columns = _ramp(area.width, area.x > 0, area.x + area.width < width)
    return rows[:, None], columns[None, :]


def _ramp(size: int, fades_in: bool, fades_out: bool) -> Array:
    ramp = np.ones(size, np.float32)
    steps = min(_FEATHER, size // _PART_TO_FADE)
    rising = np.array([(1.0 / steps) * (t + 1) for t in range(steps)], np.float32)
    if fades_in:
        ramp[:steps] *= rising
    if fades_out:
        ramp[size - steps :] *= rising[::-1]
    return ramp

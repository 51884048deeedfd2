"""Two pictures side by side."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from onnxflow.pixels.arrays import Array
from onnxflow.pixels.fit import opaque, resized

COLOURS: Final[Mapping[str, tuple[float, float, float]]] = MappingProxyType(
    {
        "white": (1.0, 1.0, 1.0),
        "black": (0.0, 0.0, 0.0),
        "red": (1.0, 0.0, 0.0),
        "green": (0.0, 1.0, 0.0),
        "blue": (0.0, 0.0, 1.0),
    }
)
DIRECTIONS: Final = ("right", "down", "left", "up")
"""On which side of the first picture the second one comes."""

_ROWS, _COLUMNS = 1, 2


def stitched(one: Array, other: Array, direction: str, *, match: bool, spacing: int, colour: str) -> Array:
    """``one`` and ``other`` [b,h,w,c] beside each other, with a stripe of ``spacing`` pixels, an even number, between.

    The shorter batch goes on with its last picture, missing opacity is 1. With ``match`` the second picture takes the
    first one's height, or width, in its proportions; without, the smaller one gets edges above and below, or left and
    right: white ones with the colour white, else black.
    """
    sideways = direction in ("right", "left")
    across, along = (_ROWS, _COLUMNS) if sideways else (_COLUMNS, _ROWS)
    count = max(len(one), len(other))
    one, other = (_continued(pictures, count) for pictures in (one, other))
    if match:
        proportion = other.shape[_COLUMNS] / other.shape[_ROWS]
        if sideways:
            height, width = one.shape[_ROWS], int(one.shape[_ROWS] * proportion)
        else:
            height, width = int(one.shape[_COLUMNS] / proportion), one.shape[_COLUMNS]
        other = resized(other, height, width, "lanczos")
    else:
        size = max(one.shape[across], other.shape[across])
        edge = 1.0 if colour == "white" else 0.0
        one, other = (_widened(pictures, across, size, edge) for pictures in (one, other))
    channels = max(one.shape[3], other.shape[3])
    parts = [opaque(one, channels), opaque(other, channels)]
    if direction in ("left", "up"):
        parts.reverse()
    if spacing:
        shape = list(parts[0].shape)
        shape[along] = spacing + spacing % 2
        shape[across] = max(part.shape[across] for part in parts)
        stripe = np.ones(shape, np.float32)
        painted = min(channels, 3)
        stripe[..., :painted] = COLOURS[colour][:painted]
        parts.insert(1, stripe)
    return np.concatenate(parts, axis=along)


def _continued(pictures: Array, count: int) -> Array:
    missing = count - len(pictures)
    return np.concatenate([pictures, np.repeat(pictures[-1:], missing, axis=0)]) if missing else pictures


def _widened(pictures: Array, axis: int, size: int, value: float) -> Array:
    """``pictures`` in the middle of ``size`` pixels along an axis; of an odd rest the larger half comes after."""
    missing = size - pictures.shape[axis]
    if not missing:
        return pictures
    before = [(0, 0)] * pictures.ndim
    before[axis] = (missing // 2, missing - missing // 2)
    return np.pad(pictures, before, constant_values=np.float32(value))

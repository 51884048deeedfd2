"""Quarter turns and mirrors, of pictures and of latents."""

from __future__ import annotations

from typing import Final

import numpy as np

from onnxflow.values import Array

ROTATIONS: Final = ("none", "90 degrees", "180 degrees", "270 degrees")
FLIPS: Final = ("x-axis: vertically", "y-axis: horizontally")


def rotated(values: Array, rotation: str, *, rows: int, columns: int) -> Array:
    """``values`` turned clockwise in the plane of these two axes, by one of ROTATIONS."""
    return np.ascontiguousarray(np.rot90(values, ROTATIONS.index(rotation), axes=(columns, rows)))


def flipped(values: Array, method: str, *, rows: int, columns: int) -> Array:
    """``values`` mirrored along one of these two axes, by one of FLIPS."""
    return np.ascontiguousarray(np.flip(values, axis=rows if method == FLIPS[0] else columns))

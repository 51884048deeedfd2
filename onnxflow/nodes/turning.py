"""Quarter turns and mirrors, of pictures and of latents."""

from __future__ import annotations

from typing import Final

import numpy as np

from onnxflow.values import Array

ROTATIONS: Final = ("none", "90 degrees", "180 degrees", "270 degrees")
FLIPS: Final = ("x-axis: vertically", "y-axis: horizontally")


_MOST_CHANNELS: Final = 4
_ROWS: Final = 16  # of a picture, copied together: as many as a processor's cache holds


def rotated(values: Array, rotation: str, *, rows: int, columns: int) -> Array:
    """``values`` turned clockwise in the plane of these two axes, by one of ROTATIONS."""
    turns, axes = ROTATIONS.index(rotation), (columns, rows)
    if columns == values.ndim - 1 or values.shape[-1] > _MOST_CHANNELS or not values.flags.c_contiguous:
        return np.ascontiguousarray(np.rot90(values, turns, axes=axes))
    # A pixel moves as a whole: numpy is slow where the innermost axis is a handful of channels.
    pixels = values.view(f"V{values.itemsize * values.shape[-1]}")[..., 0]
    turned = np.ascontiguousarray(np.rot90(pixels, turns, axes=axes))
    return turned[..., np.newaxis].view(np.float32)


def flipped(values: Array, method: str, *, rows: int, columns: int) -> Array:
    """``values`` mirrored along one of these two axes, by one of FLIPS."""
    mirrored = np.flip(values, axis=rows if method == FLIPS[0] else columns)
    if values.shape[-1] > _MOST_CHANNELS:
        return np.ascontiguousarray(mirrored)
    found = np.empty(values.shape, np.float32)
    for picture, target in zip(mirrored, found, strict=True):
        for start in range(0, len(picture), _ROWS):
            for channel in range(values.shape[-1]):  # for the same reason
                target[start : start + _ROWS, ..., channel] = picture[start : start + _ROWS, ..., channel]
    return found

"""Edges by Canny's method: J. Canny 1986, "A Computational Approach to Edge Detection", sections VI to VIII.

Brightness is blurred, its gradient found with Sobel's operator; a pixel is kept where the gradient is larger than both
neighbours across the edge, and, above the high threshold or linked to such a one by pixels above the low one, drawn.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError
from onnxflow.pixels.arrays import Array
from onnxflow.pixels.colour import luma
from onnxflow.pixels.gaussian import weighed

_SMALLEST: Final = 3
"""Pixels a side: the blur reaches two beyond each, which are reflected from inside."""

_TINY: Final = np.float32(1e-6)  # keeps the root of a flat place away from 0, where it matters to ties only
_TAN_22: Final = np.float32(np.tan(np.pi / 8))
_TAN_67: Final = np.float32(np.tan(3 * np.pi / 8))

_AROUND: Final = tuple((down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if (down, right) != (0, 0))


def edges(pictures: Array, low: float, high: float) -> Array:
    """Where the edges of ``pictures`` [b,h,w,c] are: float32 [b,h,w] of 0 and 1.

    The thresholds are of the gradient's length, Sobel's operator not being divided by anything. InputError for a low
    threshold above the high one, and for pictures below three pixels a side.
    """
    if low > high:
        raise InputError(
            f"low_threshold {low:g} is above high_threshold {high:g}", hint="swap them, or raise high_threshold"
        )
    height, width, channels = pictures.shape[1:]
    if min(height, width) < _SMALLEST:
        raise InputError(
            f"a picture of {width}x{height} pixels has no edges to find",
            hint=f"use pictures of at least {_SMALLEST}x{_SMALLEST} pixels",
        )
    result = np.zeros(pictures.shape[:3], np.float32)
    for picture, target in zip(pictures, result, strict=True):
        grey = luma(*(picture[..., c] for c in range(3))) if channels >= _SMALLEST else picture[..., 0]
        strength = _thinned(*_gradient(weighed(grey[np.newaxis, :, :, np.newaxis], _kernel())[0, :, :, 0]))
        target[_linked(strength > np.float32(low), strength > np.float32(high))] = 1
    return result


def _kernel() -> Array:
    """A Gaussian of deviation 1 at the places -2 to 2."""
    weights = np.exp(-(np.arange(-2, 3) ** 2) / 2)
    found: Array = (weights / weights.sum()).astype(np.float32)
    return found


def _gradient(grey: Array) -> tuple[Array, Array]:
    """Sobel's differences of ``grey`` [h,w] to the right and downwards; edges are repeated outwards."""
    padded = np.pad(grey, 1, mode="edge")
    difference = padded[:, 2:] - padded[:, :-2]
    right = difference[1:-1] * np.float32(2)
    right += difference[:-2]
    right += difference[2:]
    difference = padded[2:] - padded[:-2]
    down = difference[:, 1:-1] * np.float32(2)
    down += difference[:, :-2]
    down += difference[:, 2:]
    return right, down


def _thinned(right: Array, down: Array) -> Array:
    """The gradient's length where it is larger than at the neighbour before and no smaller than at the one behind, in
    its direction, rounded to 45 degrees, and 0 elsewhere. Beyond the picture's edge it is 0."""
    length = right * right
    length += down * down
    length += _TINY
    np.sqrt(length, out=length)
    height, width = length.shape
    padded = np.zeros((height + 2, width + 2), np.float32)
    padded[1:-1, 1:-1] = length

    def beside(rows: int, columns: int) -> Array:
        """The neighbour so many rows and columns further on."""
        return padded[1 + rows : 1 + rows + height, 1 + columns : 1 + columns + width]

    across, along = np.abs(right), np.abs(down)
    flat = along <= across * _TAN_22
    steep = along > across * _TAN_67
    falling = (right > 0) == (down > 0)  # to the right and down, or to the left and up
    first = np.where(falling, beside(-1, -1), beside(-1, 1))
    second = np.where(falling, beside(1, 1), beside(1, -1))
    for chosen, rows, columns in ((flat, 0, 1), (steep, 1, 0)):
        np.copyto(first, beside(-rows, -columns), where=chosen)
        np.copyto(second, beside(rows, columns), where=chosen)
    # Of two that are equal, as on both sides of a step between two pixels, one is kept.
    length[(length <= first) | (length < second)] = 0
    return length


def _linked(weak: NDArray[np.bool_], strong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The ``strong`` pixels [h,w], and the ``weak`` ones that a chain of weak ones links to them, corners included."""
    height, width = weak.shape
    found = np.zeros((height + 2, width + 2), bool)
    found[1:-1, 1:-1] = strong
    waiting = np.zeros_like(found)
    waiting[1:-1, 1:-1] = weak & ~strong
    flat_found, flat_waiting = found.reshape(-1), waiting.reshape(-1)
    steps = np.array([down * (width + 2) + right for down, right in _AROUND])
    front = np.flatnonzero(flat_found)
    while front.size:
        near = (front[:, np.newaxis] + steps).reshape(-1)
        front = np.unique(near[flat_waiting[near]])
        flat_waiting[front] = False
        flat_found[front] = True
    return found[1:-1, 1:-1]

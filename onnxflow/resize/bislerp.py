"""Interpolation on spheres: a pixel's channels are a vector, whose direction turns while its length changes evenly.

Spherical linear interpolation (slerp): Shoemake 1985, "Animating rotation with quaternion curves", section 3.3. First
between the two neighbours in a row, then between the rows; places and shares are those of bilinear interpolation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxflow.resize import linear
from onnxflow.resize.separable import blocks
from onnxflow.resize.taps import Array, Taps

NEARLY = np.float32(1e-5)
"""Vectors with a cosine this close to 1 or -1 count as parallel or opposite: between them a turn is not defined."""


def resample(values: Array, width: int, height: int) -> Array:
    """``values`` [b,c,h,w] as [b,c,height,width]; an axis of equal size is kept."""
    batch, channels, old_height, old_width = values.shape
    result = np.empty((batch, channels, height, width), np.float32)
    across = linear.taps(old_width, width) if width != old_width else None
    down = linear.taps(old_height, height) if height != old_height else None
    for sample, target in zip(values, result, strict=True):
        for start, stop in blocks(height, max(width, old_width) * channels):
            if down is None:
                target[:, start:stop] = _turned(sample[:, start:stop], across, axis=2)
                continue
            part = down.part(start, stop)
            needed, renumbered = np.unique(part.places, return_inverse=True)
            rows = _turned(sample[:, needed], across, axis=2)
            down_rows = Taps(renumbered.reshape(part.places.shape), part.weights)
            target[:, start:stop] = _turned(rows, down_rows, axis=1)
    return result


def _turned(values: Array, taps: Taps | None, axis: int) -> Array:
    """``values`` [c,h,w] interpolated along ``axis`` (1 or 2)."""
    if taps is None:
        return values
    first, second = (np.take(values, places, axis) for places in taps.places)
    share = taps.weights[1].reshape((1, -1, 1) if axis == 1 else (1, 1, -1))
    return slerp(first, second, share)


def slerp(first: Array, second: Array, share: Array) -> Array:
    """The vectors (axis 0, the channels) ``share`` of the way from ``first`` to ``second``.

    Directions turn along the great circle and lengths change linearly. A vector of zeros has no direction and adds
    none. Between opposite vectors the way is straight. Of two nearly parallel ones the first is taken, with its length:
    ComfyUI's rule, which shows where neighbours differ in length alone.
    """
    long_first, long_second = _length(first), _length(second)
    unit_first, unit_second = _unit(first, long_first), _unit(second, long_second)
    rest = np.float32(1) - share
    cosine = (unit_first * unit_second).sum(axis=0, keepdims=True)
    angle = np.arccos(np.clip(cosine, -1, 1))
    sine = np.sin(angle)
    length = long_first * rest + long_second * share
    scale = np.divide(length, sine, out=np.zeros_like(length), where=sine != 0)
    turned = unit_first * (np.sin(rest * angle) * scale) + unit_second * (np.sin(share * angle) * scale)
    straight = first * rest + second * share
    turned = np.where(cosine > 1 - NEARLY, first, turned)
    found: Array = np.where(cosine < NEARLY - 1, straight, turned)
    return found


def _length(vectors: Array) -> Array:
    found: Array = np.sqrt((vectors * vectors).sum(axis=0, keepdims=True))
    return found


def _unit(vectors: Array, length: Array) -> NDArray[np.float32]:
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length != 0)

"""Brightness and colour apart: YCbCr of full range (ITU-R BT.601, rounded as in JPEG's predecessors)."""

from __future__ import annotations

import numpy as np

from onnxflow.pixels.arrays import Array, blocks

_HALF = np.float32(0.5)
_RED, _GREEN, _BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)
_TO_CB, _TO_CR = np.float32(0.564), np.float32(0.713)
_RED_OF_CR, _GREEN_OF_CR, _GREEN_OF_CB, _BLUE_OF_CB = (np.float32(f) for f in (1.403, 0.714, 0.344, 1.773))


def luma(red: Array, green: Array, blue: Array) -> Array:
    """The brightness of a colour."""
    found = red * _RED
    found += green * _GREEN
    found += blue * _BLUE
    return found


def to_yuv(pictures: Array) -> tuple[Array, Array, Array]:
    """Brightness Y and the colour differences U (blue) and V (red), about 0.5, of ``pictures`` [b,h,w,3]; each
    [b,h,w]."""
    parts = [np.empty(pictures.shape[:3], np.float32) for _ in range(3)]
    for index, picture in enumerate(pictures):
        for start, stop in blocks(len(picture), picture.shape[1] * picture.shape[2]):
            red, green, blue = (picture[start:stop, :, c] for c in range(3))
            y, u, v = (part[index, start:stop] for part in parts)
            y[...] = luma(red, green, blue)
            for target, colour, factor in ((u, blue, _TO_CB), (v, red, _TO_CR)):
                np.subtract(colour, y, out=target)
                target *= factor
                target += _HALF
    return parts[0], parts[1], parts[2]


def from_yuv(y: Array, u: Array, v: Array) -> Array:
    """The pictures [b,h,w,3] in 0..1 of brightness and colour differences [b,h,w] each."""
    result = np.empty((*y.shape, 3), np.float32)
    for index in range(len(y)):
        for start, stop in blocks(y.shape[1], 3 * y.shape[2]):
            bright, blue, red = y[index, start:stop], u[index, start:stop] - _HALF, v[index, start:stop] - _HALF
            target = result[index, start:stop]
            np.add(bright, red * _RED_OF_CR, out=target[..., 0])
            np.add(bright, blue * _BLUE_OF_CB, out=target[..., 2])
            red *= _GREEN_OF_CR
            blue *= _GREEN_OF_CB
            np.subtract(bright, red, out=target[..., 1])
            target[..., 1] -= blue
            np.clip(target, 0, 1, out=target)
    return result

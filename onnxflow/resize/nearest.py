"""The nearest pixel: the one whose area the new pixel's centre falls into."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxflow.resize.separable import blocks
from onnxflow.resize.taps import Array, centres


def places(old: int, new: int) -> NDArray[np.intp]:
    """The old place that each new one takes, int [new]: floor((j + 0.5) * old / new) as float32 arithmetic has it.

    Where a centre lies on a border, PyTorch's rounding decides: for results whose sides add up to more than 128 it is
    this one, below another one, which differs for odd ratios only (2 to 41), and for no multiple of a half.
    """
    return np.minimum((centres(old, new) + np.float32(0.5)).astype(np.intp), old - 1)


def resample(values: Array, width: int, height: int) -> Array:
    """``values`` [b,c,h,w] as [b,c,height,width], every value one of them."""
    batch, channels, old_height, old_width = values.shape
    result = np.empty((batch, channels, height, width), np.float32)
    rows, columns = places(old_height, height), places(old_width, width)
    for index in np.ndindex(batch, channels):
        plane, target = values[index], result[index]
        for start, stop in blocks(height, max(width, old_width)):
            target[start:stop] = np.take(plane[rows[start:stop]], columns, axis=1)
    return result

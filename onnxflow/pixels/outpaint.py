"""Room around a picture, and a mask of it that fades into the picture."""

from __future__ import annotations

from typing import Final

import numpy as np

from onnxflow.pixels.arrays import Array

GREY: Final = np.float32(0.5)


def padded(pictures: Array, left: int, top: int, right: int, bottom: int) -> Array:
    """``pictures`` [b,h,w,c] with so many grey pixels more on each side."""
    batch, height, width, channels = pictures.shape
    result = np.full((batch, top + height + bottom, left + width + right, channels), GREY, np.float32)
    result[:, top : top + height, left : left + width] = pictures
    return result


def framed(pictures: Array, height: int, width: int, value: float) -> Array:
    """``pictures`` [b,h,w,c] in the middle of ``height`` x ``width`` pixels that are not less than theirs, the others
    ``value``; of an odd rest the larger half comes after."""
    batch, inner_height, inner_width, channels = pictures.shape
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    result = np.full((batch, height, width, channels), np.float32(value), np.float32)
    result[:, top : top + inner_height, left : left + inner_width] = pictures
    return result


def mask(height: int, width: int, left: int, top: int, right: int, bottom: int, feathering: int) -> Array:
    """The mask [h,w] of the room around a picture of ``height`` x ``width``: 1 in it, and in the picture the square of
    what is missing to ``feathering`` pixels from the room, as a share of it. A picture that is not larger than twice
    the feathering has none."""
    result = np.ones((top + height + bottom, left + width + right), np.float32)
    inner = result[top : top + height, left : left + width]
    inner[...] = 0
    if feathering <= 0 or 2 * feathering >= min(height, width):
        return result
    rows = np.full(height, height, np.float32)
    columns = np.full(width, width, np.float32)
    for distances, count, before, after in ((rows, height, top, bottom), (columns, width, left, right)):
        places = np.arange(count, dtype=np.float32)
        if before:
            np.minimum(distances, places, out=distances)
        if after:
            np.minimum(distances, count - places, out=distances)
    distance = np.minimum(rows[:, np.newaxis], columns)
    share = np.maximum((np.float32(feathering) - distance) / np.float32(feathering), 0)
    np.multiply(share, share, out=inner)
    return result

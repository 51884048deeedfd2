"""Grey-scale morphology with a square: erosion, dilation and what is made of them.

Serra 1982, "Image Analysis and Mathematical Morphology", chapter XII: erosion is the smallest value under the square,
dilation the largest. What lies beyond an edge counts for nothing. The square's origin is at half its size, rounded up
for even sizes, for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from onnxflow.pixels.arrays import Array, blocks


def eroded(pictures: Array, size: int) -> Array:
    """The smallest value in the ``size`` x ``size`` square around each pixel of ``pictures`` [b,h,w,c]."""
    return _extreme(pictures, size, np.minimum, np.inf)


def dilated(pictures: Array, size: int) -> Array:
    """The largest value in the ``size`` x ``size`` square around each pixel of ``pictures`` [b,h,w,c]."""
    return _extreme(pictures, size, np.maximum, -np.inf)


def opened(pictures: Array, size: int) -> Array:
    """Erosion, then dilation: light spots smaller than the square vanish."""
    return dilated(eroded(pictures, size), size)


def closed(pictures: Array, size: int) -> Array:
    """Dilation, then erosion: dark spots smaller than the square vanish."""
    return eroded(dilated(pictures, size), size)


def gradient(pictures: Array, size: int) -> Array:
    """Dilation less erosion: outlines."""
    result = dilated(pictures, size)
    result -= eroded(pictures, size)
    return result


def top_hat(pictures: Array, size: int) -> Array:
    """What opening takes away: light spots."""
    result = opened(pictures, size)
    return np.subtract(pictures, result, out=result)


def bottom_hat(pictures: Array, size: int) -> Array:
    """What closing adds: dark spots."""
    result = closed(pictures, size)
    result -= pictures
    return result


OPERATIONS: Final[Mapping[str, Callable[[Array, int], Array]]] = MappingProxyType(
    {
        "erode": eroded,
        "dilate": dilated,
        "open": opened,
        "close": closed,
        "gradient": gradient,
        "bottom_hat": bottom_hat,
        "top_hat": top_hat,
    }
)


def _extreme(pictures: Array, size: int, extreme: Any, beyond: float) -> Array:
    height, width, channels = pictures.shape[1:]
    result = np.empty_like(pictures)
    before = size // 2
    for picture, target in zip(pictures, result, strict=True):
        lines = picture.reshape(height, width * channels)
        down = np.empty_like(lines)
        # Strips of columns, so that all rows of one stay in the cache while they are compared again and again.
        for start, stop in blocks(width * channels, height + size):
            down[:, start:stop] = running(lines[:, start:stop], size, before, extreme, beyond)
        pixels = down.reshape(height, width, channels)
        for start, stop in blocks(height, (width + size) * channels):
            turned = pixels[start:stop].swapaxes(0, 1)
            target[start:stop] = running(turned, size, before, extreme, beyond).swapaxes(0, 1)
    return result


def running(values: Array, size: int, before: int, extreme: Any, beyond: float) -> Array:
    """For each place along the first axis the ``extreme`` (numpy's maximum or minimum) of ``size`` of ``values``, of
    which ``before`` come before it; beyond the ends all are ``beyond``.

    The window is doubled until it reaches more than half of ``size``; two of those cover it.
    """
    count = len(values)
    before, after = min(before, count), min(size - 1 - before, count)
    window = before + 1 + after
    padded = np.full((count + window - 1, *values.shape[1:]), np.float32(beyond))
    padded[before : before + count] = values
    reach = 1
    while 2 * reach <= window:
        padded = extreme(padded[:-reach], padded[reach:])
        reach *= 2
    found: Array = extreme(padded[:count], padded[window - reach : window - reach + count])
    return found

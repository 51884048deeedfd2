"""Interpolation one axis after the other, a block of rows at a time, so that little more than the result is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from onnxflow.resize.taps import Array, Taps

# 512 KiB: small enough for a processor's cache and for memory that is used again, instead of being asked of the system
# each time (which doubled the time); large enough that numpy's calls hardly count.
BLOCK_VALUES = 1 << 17


def resample(values: Array, width: int, height: int, taps: Callable[[int, int], Taps]) -> Array:
    """``values`` [b,c,h,w] as [b,c,height,width] by ``taps(old, new)`` of each axis; an axis of equal size is kept.

    The result is stored as ``values`` are: the channels of a pixel together, as pictures have them, or plane by plane.
    """
    batch, channels, old_height, old_width = values.shape
    pixels = values.transpose(0, 2, 3, 1)
    together = pixels[0].flags.c_contiguous and channels > 1
    lines = pixels if together else values.reshape(batch * channels, old_height, old_width, 1)
    inner = channels if together else 1
    result = np.empty((len(lines), height, width, inner), np.float32)
    across = taps(old_width, width).repeated(inner) if width != old_width else None
    down = taps(old_height, height) if height != old_height else None
    for plane, target in zip(lines, result, strict=True):
        rows = plane.reshape(old_height, old_width * inner)
        for start, stop in blocks(height, max(width, old_width) * inner):
            if down is None:
                target[start:stop] = _columns(rows[start:stop], across, inner)
                continue
            part = down.part(start, stop)
            if height < old_height:  # the columns, which are dearer, after the axis that leaves fewer rows
                target[start:stop] = _columns(part.rows(rows), across, inner)
            else:
                first, last = part.places.min(), part.places.max()
                target[start:stop] = (
                    part.moved(first)
                    .rows(_columns(rows[first : last + 1], across, inner).reshape(last + 1 - first, width * inner))
                    .reshape(stop - start, width, inner)
                )
    if together:
        return result.transpose(0, 3, 1, 2)
    return result.reshape(batch, channels, height, width)


def blocks(height: int, width: int) -> Iterator[tuple[int, int]]:
    """First row and the row after the last of each block, for ``height`` rows of ``width`` values."""
    step = max(1, BLOCK_VALUES // width)
    return ((start, min(start + step, height)) for start in range(0, height, step))


def _columns(rows: Array, across: Taps | None, inner: int) -> Array:
    """``rows`` [n, old * inner] interpolated across, as [n, new, inner]."""
    found = rows if across is None else across.columns(rows.reshape(len(rows), -1, inner))
    return found.reshape(len(rows), -1, inner)

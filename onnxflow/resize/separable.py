"""Interpolation one axis after the other, a block of rows at a time, so that little more than the result is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from onnxflow.resize.taps import Array, Taps

# 128 KiB: small enough for a processor's cache and for memory that is used again, instead of being asked of the system
# each time (which doubled the time); large enough that numpy's calls hardly count.
BLOCK_VALUES = 1 << 15


def resample(values: Array, width: int, height: int, taps: Callable[[int, int], Taps]) -> Array:
    """``values`` [b,c,h,w] as [b,c,height,width] by ``taps(old, new)`` of each axis; an axis of equal size is kept."""
    batch, channels, old_height, old_width = values.shape
    result = np.empty((batch, channels, height, width), np.float32)
    across = taps(old_width, width) if width != old_width else None
    down = taps(old_height, height) if height != old_height else None
    for index in np.ndindex(batch, channels):
        plane, target = values[index], result[index]
        for start, stop in blocks(height, max(width, old_width)):
            if down is None:
                target[start:stop] = _columns(plane[start:stop], across)
                continue
            part = down.part(start, stop)
            if height < old_height:  # the columns, which are dearer, after the axis that leaves fewer rows
                target[start:stop] = _columns(part.rows(plane), across)
            else:
                first, last = part.places.min(), part.places.max()
                target[start:stop] = part.moved(first).rows(_columns(plane[first : last + 1], across))
    return result


def blocks(height: int, width: int) -> Iterator[tuple[int, int]]:
    """First row and the row after the last of each block, for ``height`` rows of ``width`` values."""
    step = max(1, BLOCK_VALUES // width)
    return ((start, min(start + step, height)) for start in range(0, height, step))


def _columns(rows: Array, across: Taps | None) -> Array:
    return rows if across is None else across.columns(rows)

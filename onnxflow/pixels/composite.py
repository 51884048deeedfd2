"""One picture laid over a part of another."""

from __future__ import annotations

import numpy as np

from onnxflow.pixels.arrays import Array, blocks
from onnxflow.pixels.fit import repeated, resized, resized_masks


def composited(
    destination: Array, source: Array, x: int, y: int, mask: Array | None = None, *, resize_source: bool = False
) -> Array:
    """``destination`` [b,h,w,c] with ``source`` [n,h',w',c] over it from column ``x`` and row ``y`` on, as far as it
    goes, by ``mask`` [m,h'',w''] (1: the source), which takes the source's size.

    Sources and masks begin anew where there are fewer than destinations. InputError for empty ones.
    """
    batch, height, width, _ = destination.shape
    if resize_source:
        source = resized(source, height, width, "bilinear")
    source = repeated(source, batch)
    rows, columns = min(source.shape[1], height - y), min(source.shape[2], width - x)
    result = destination.copy()
    if rows <= 0 or columns <= 0:
        return result
    seen = source[:, :rows, :columns]
    part = result[:, y : y + rows, x : x + columns]
    if mask is None:
        part[...] = seen
        return result
    weights = repeated(resized_masks(mask, *source.shape[1:3]), batch)[:, :rows, :columns, np.newaxis]
    for target, above, weight in zip(part, seen, weights, strict=True):
        for start, stop in blocks(rows, columns * target.shape[2]):
            share, line = weight[start:stop], target[start:stop]
            line *= np.float32(1) - share
            line += above[start:stop] * share
    return result


def feathered(destination: Array, source: Array, x: int, y: int, feather: int) -> Array:
    """``destination`` [b,h,w,c] with ``source`` over it, which fades in over ``feather`` cells from those of its edges
    that do not lie on the destination's."""
    height, width = destination.shape[1:3]
    rows, columns = min(source.shape[1], height - y), min(source.shape[2], width - x)
    if rows <= 0 or columns <= 0:
        return destination.copy()
    mask = np.ones((1, rows, columns), np.float32)
    for step in range(feather):
        share = np.float32((step + 1) / feather)
        if y != 0 and step < rows:
            mask[:, step] *= share
        if y + rows < height and step < 2 * rows and step != rows:
            mask[:, _from_end(step, rows)] *= share
        if x != 0 and step < columns:
            mask[:, :, step] *= share
        if x + columns < width and step < 2 * columns and step != columns:
            mask[:, :, _from_end(step, columns)] *= share
    return composited(destination, source[:, :rows, :columns], x, y, mask)


def _from_end(step: int, count: int) -> int:
    """The row so many before the last; a step beyond the first one ComfyUI goes on from the end."""
    return count - 1 - step if step < count else 2 * count - 1 - step

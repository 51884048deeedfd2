"""A large array computed tile by tile, with the tiles blended where they overlap, as ComfyUI's tiled VAE does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np

from onnxflow.pixels.arrays import Array

Compute = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles of ``height`` x ``width`` that share ``overlap`` rows and columns with their neighbours, in the units of
    what is computed from."""

    height: int
    width: int
    overlap: int

    def places(self, height: int, width: int) -> list[tuple[int, int]]:
        """Where the tiles of an array of this size begin: one where it fits into one."""
        if height <= self.height and width <= self.width:
            return [(0, 0)]
        return list(product(self._starts(height, self.height), self._starts(width, self.width)))

    def _starts(self, size: int, tile: int) -> list[int]:
        if size <= tile:
            return [0]
        found = range(0, size - self.overlap, tile - self.overlap)
        return [max(0, min(size - self.overlap, start)) for start in found]


def three_tilings(side: int, overlap: int) -> tuple[Tiling, Tiling, Tiling]:
    """Tall, wide and square tiles of the same area, whose results are averaged, so that seams fall on other places. An
    overlap that leaves no step between tall tiles is a quarter of their side."""
    overlap = overlap if 2 * overlap < side else side // 4
    return Tiling(2 * side, side // 2, overlap), Tiling(side // 2, 2 * side, overlap), Tiling(side, side, overlap)


def count_tiles(tilings: tuple[Tiling, ...], height: int, width: int) -> int:
    """How many tiles are computed."""
    return sum(len(tiling.places(height, width)) for tiling in tilings)


def averaged(values: Array, tilings: tuple[Tiling, ...], compute: Compute, scale: Fraction) -> Array:
    """The mean of ``tiled`` in each of the tilings."""
    total = tiled(values, tilings[0], compute, scale)
    for tiling in tilings[1:]:
        total += tiled(values, tiling, compute, scale)
    total /= np.float32(len(tilings))
    return total


def tiled(values: Array, tiling: Tiling, compute: Compute, scale: Fraction) -> Array:
    """``compute`` of ``values`` [1,c,h,w] tile by tile, [1,c',h * scale,w * scale]: each tile is weighed with a ramp of
    the overlap's width at its four sides."""
    height, width = values.shape[2:]
    places = tiling.places(height, width)
    if len(places) == 1:
        return np.array(compute(values), np.float32)
    total: Array | None = None
    weights = np.zeros((round(height * scale), round(width * scale)), np.float32)
    for top, left in places:
        part = values[:, :, top : top + tiling.height, left : left + tiling.width]
        found = compute(np.ascontiguousarray(part))
        if total is None:
            total = np.zeros((1, found.shape[1], *weights.shape), np.float32)
        ramp = round(tiling.overlap * scale)
        mask = np.outer(_ramped(found.shape[2], ramp), _ramped(found.shape[3], ramp)).astype(np.float32)
        y, x = round(top * scale), round(left * scale)
        here = (slice(y, y + found.shape[2]), slice(x, x + found.shape[3]))
        total[(slice(None), slice(None), *here)] += found * mask
        weights[here] += mask
    assert total is not None, "an array has a tile"
    total /= weights
    return total


def _ramped(size: int, ramp: int) -> Array:
    """Weights along a side: from 1/ramp up to one, and down again; ones where the ramp does not fit."""
    weights = np.ones(size, np.float32)
    if ramp < size:
        for step in range(ramp):
            weights[step] *= np.float32((step + 1) / ramp)
            weights[size - 1 - step] *= np.float32((step + 1) / ramp)
    return weights

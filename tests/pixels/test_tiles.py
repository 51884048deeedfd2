"""Tiles and how they are blended, beside a plain computation of the same."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.pixels.tiles import Tiling, averaged, count_tiles, three_tilings, tiled

RANDOM = np.random.default_rng(3).random((1, 2, 40, 52), np.float32)


def grown(part: Any) -> Any:
    """Twice as large, and different in every tile: the mean of the tile is added."""
    return part.repeat(2, axis=2).repeat(2, axis=3) + part.mean()


def shrunk(part: Any) -> Any:
    return part[:, :, ::4, ::4] + part.mean()


def plainly(values: Any, tile: tuple[int, int], overlap: int, compute: Any, scale: float) -> Any:
    """Pixel by pixel in double precision, as the definition says it."""
    height, width = values.shape[2:]
    if height <= tile[0] and width <= tile[1]:
        return compute(values)
    starts = [
        [0] if size <= side else list(range(0, size - overlap, side - overlap))
        for size, side in zip((height, width), tile, strict=True)
    ]
    out_size = (round(height * scale), round(width * scale))
    total = np.zeros((values.shape[1], *out_size))
    weights = np.zeros(out_size)
    for first in starts[0]:
        for second in starts[1]:
            top, left = (max(0, min(s - overlap, at)) for s, at in ((height, first), (width, second)))
            found = compute(values[:, :, top : top + tile[0], left : left + tile[1]])[0].astype(np.float64)
            ramp = round(overlap * scale)
            for y in range(found.shape[1]):
                for x in range(found.shape[2]):
                    weight = 1.0
                    for at, size in ((y, found.shape[1]), (x, found.shape[2])):
                        if ramp < size:
                            weight *= (at + 1) / ramp if at < ramp else 1.0
                            weight *= (size - at) / ramp if size - 1 - at < ramp else 1.0
                    place = (round(top * scale) + y, round(left * scale) + x)
                    total[:, place[0], place[1]] += weight * found[:, y, x]
                    weights[place] += weight
    return (total / weights)[np.newaxis]


@pytest.mark.parametrize(
    ("tile", "overlap"), [((16, 16), 4), ((32, 8), 4), ((8, 32), 4), ((64, 16), 4), ((16, 64), 0), ((64, 64), 16)]
)
@pytest.mark.parametrize(("compute", "scale"), [(grown, Fraction(2)), (shrunk, Fraction(1, 4))])
def test_tiles_are_blended_as_defined(tile: tuple[int, int], overlap: int, compute: Any, scale: Fraction) -> None:
    found = tiled(RANDOM, Tiling(*tile, overlap), compute, scale)
    wanted = plainly(RANDOM, tile, overlap, compute, float(scale))
    assert found.shape == wanted.shape and found.dtype == np.float32
    assert np.abs(found - wanted).max() <= 2e-6


def test_three_cuts_are_averaged() -> None:
    tall, wide, square = three_tilings(16, 4)
    assert (tall, wide, square) == (Tiling(32, 8, 4), Tiling(8, 32, 4), Tiling(16, 16, 4))
    found = averaged(RANDOM, (tall, wide, square), grown, Fraction(2))
    parts = [tiled(RANDOM, one, grown, Fraction(2)) for one in (tall, wide, square)]
    assert np.allclose(found, sum(parts) / 3, atol=1e-6)
    calls: list[Any] = []
    averaged(RANDOM, (tall, wide, square), lambda part: (calls.append(part), grown(part))[1], Fraction(2))
    assert len(calls) == count_tiles((tall, wide, square), 40, 52)


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([8, 12, 16, 64]), st.integers(0, 80), st.integers(1, 3))
def test_any_size_is_covered(height: int, width: int, side: int, overlap: int, channels: int) -> None:
    """What does not depend on its neighbours comes out as it is, whatever the tiles; an overlap that is too large for
    the tiles does no harm."""
    values = np.random.default_rng(height).random((1, channels, height, width), np.float32)
    found = averaged(values, three_tilings(side, overlap), lambda part: part, Fraction(1))
    assert found.shape == values.shape
    assert np.abs(found - values).max() <= 1e-5

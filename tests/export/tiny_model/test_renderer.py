# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.renderer import jittered_palette, pattern_weight, render, shape_mask
from onnxflow.export.tiny_model.scenes import PALETTE, SHAPES, Background, Scene, Thing

WHITE = tuple(round(value * 255) for value in PALETTE["white"])
RED = tuple(round(value * 255) for value in PALETTE["red"])


def test_a_red_square_on_white() -> None:
    picture = render(Scene(Background("plain", "white"), (Thing("square", "red", 64, 64, 20),)))
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    assert tuple(picture[0, 0]) == WHITE
    assert tuple(picture[64, 64]) == RED
    assert tuple(picture[64, 64 - 16]) == RED
    assert tuple(picture[64, 64 - 19]) == WHITE


def test_edges_are_anti_aliased() -> None:
    mask = shape_mask("circle", 64, 64, 20)
    assert 50 < ((mask > 0) & (mask < 1)).sum() < 200
    assert mask.sum() == pytest.approx(np.pi * 0.9 * 20**2, rel=0.01)


def test_a_ring_shows_the_background_in_its_hole() -> None:
    picture = render(Scene(Background("plain", "white"), (Thing("ring", "red", 64, 64, 30),)))
    assert tuple(picture[64, 64]) == WHITE
    assert tuple(picture[64, 64 + 24]) == RED


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_is_left_right_symmetric_and_keeps_its_area_when_scaled(shape: str) -> None:
    mask = shape_mask(shape, 63.5, 63.5, 30)
    np.testing.assert_allclose(mask, mask[:, ::-1], atol=0.13)
    assert shape_mask(shape, 31.75, 31.75, 15, size=128).sum() * 4 == pytest.approx(mask.sum(), rel=0.02)


def test_patterns() -> None:
    gradient = pattern_weight("gradient", "horizontal")
    assert gradient[0, 0] == 0
    assert gradient[50, 127] == pytest.approx(1)
    stripes = pattern_weight("striped", "horizontal")
    assert stripes[0, 5] == stripes[0, 100] == 0
    assert stripes[16, 0] == 1
    checks = pattern_weight("checkered", None)
    assert [checks[0, 0], checks[0, 16], checks[16, 0], checks[16, 16]] == [0, 1, 1, 0]


def test_a_swapped_pattern_starts_with_the_second_colour() -> None:
    thing = Thing("circle", "red", 64, 64, 10)
    straight = render(Scene(Background("striped", "white", "black", "vertical"), (thing,)))
    swapped = render(Scene(Background("striped", "white", "black", "vertical", swapped=True), (thing,)))
    assert tuple(straight[0, 0]) == WHITE == tuple(swapped[0, 16])


def test_a_jittered_palette_stays_near_and_within_range() -> None:
    palette = jittered_palette(np.random.default_rng(1), 0.02)
    assert palette != PALETTE
    for name, colour in palette.items():
        assert np.abs(np.array(colour) - PALETTE[name]).max() < 0.1
        assert 0 <= min(colour) <= max(colour) <= 1


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="'cube'"):
        shape_mask("cube", 64, 64, 20)

# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.landscapes import Landscape
from onnxflow.export.tiny_model.renderer import ALL_COLOURS, jittered_palette, pattern_weight, render, shape_mask
from onnxflow.export.tiny_model.scenes import PALETTE, SHAPES, Background, Scene, Thing

WHITE = tuple(round(value * 255) for value in PALETTE["white"])
BLACK = tuple(round(value * 255) for value in PALETTE["black"])
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
    assert palette.keys() == ALL_COLOURS.keys()
    assert palette != ALL_COLOURS
    for name, colour in palette.items():
        assert np.abs(np.array(colour) - ALL_COLOURS[name]).max() < 0.1
        assert 0 <= min(colour) <= max(colour) <= 1


def test_an_unknown_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="'cube'"):
        shape_mask("cube", 64, 64, 20)


def test_what_is_inside_lies_in_front() -> None:
    inner, outer = Thing("square", "red", 64, 64, 16), Thing("circle", "black", 64, 64, 42)
    picture = render(Scene(Background("plain", "white"), (inner, outer), "inside"))
    assert tuple(picture[64, 64]) == RED
    assert tuple(picture[64, 64 + 12]) == RED
    assert tuple(picture[64, 64 + 16]) == tuple(picture[64 - 16, 64]) == BLACK
    assert tuple(picture[64, 64 + 38]) == BLACK
    assert tuple(picture[64, 64 + 41]) == WHITE  # a circle's radius is counted as 0.95


def test_the_hole_of_a_ring_shows_what_is_inside_and_the_background_around_it() -> None:
    inner, outer = Thing("circle", "red", 64, 64, 16), Thing("ring", "black", 64, 64, 42)
    picture = render(Scene(Background("plain", "white"), (inner, outer), "inside"))
    assert [tuple(picture[64, 64 + step]) for step in (0, 19, 30)] == [RED, WHITE, BLACK]


def at(picture: np.ndarray, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(value) for value in picture[y, x])


def test_a_house_by_day() -> None:
    picture = render(Landscape("day", "grass", "house", "middle", True, 64.0, 87.5, 0.0, 100.0))
    assert picture.shape == (128, 128, 3)
    assert picture.dtype == np.uint8
    assert at(picture, 0, 0) == at(picture, 127, 0) == at(picture, 0, 87) == (140, 204, 247)  # sky
    assert at(picture, 0, 127) == at(picture, 127, 127) == at(picture, 0, 88) == (115, 189, 76)  # grass
    assert at(picture, 100, 24) == (255, 237, 102)  # sun
    assert at(picture, 100, 35) == (140, 204, 247)
    assert at(picture, 54, 90) == at(picture, 74, 75) == (178, 158, 168)  # walls beside the door, foot at row 96
    assert at(picture, 64, 90) == (76, 41, 31)  # door
    assert at(picture, 64, 62) == (168, 31, 41)  # roof
    assert at(picture, 64, 50) == (140, 204, 247)


def test_a_tree_at_night_and_in_the_evening() -> None:
    night = render(Landscape("night", "snow", "tree", "left", True, 32.0, 87.5, 0.0, 100.0))
    assert at(night, 64, 0) == (18, 23, 66)
    assert at(night, 64, 127) == (237, 242, 250)
    assert at(night, 100, 24) == (242, 242, 217)  # moon
    assert at(night, 32, 60) == (13, 87, 36)  # crown
    assert at(night, 32, 90) == (97, 56, 26)  # trunk, foot at row 96
    sunset = render(Landscape("sunset", "sand", None, None, False, 64.0, 87.5, 0.0, 28.0))
    assert at(sunset, 64, 0) == (247, 148, 115)
    assert at(sunset, 64, 127) == (229, 199, 115)
    assert at(sunset, 28, 24) == (237, 56, 41)


def test_a_hill_rises_towards_its_middle() -> None:
    picture = render(Landscape("day", "snow", None, None, False, 64.0, 87.5, 10.0, 28.0))
    ground = [int(np.argmax((picture[:, x] == (237, 242, 250)).all(1))) for x in (0, 64, 127)]
    assert ground == [88, 78, 88]


def test_another_size_shows_the_same_landscape() -> None:
    landscape = Landscape("day", "grass", "tree", "right", True, 96.0, 86.0, 6.0, 28.0)
    whole, half = render(landscape).astype(float), render(landscape, size=64).astype(float)
    np.testing.assert_allclose(whole.reshape(64, 2, 64, 2, 3).mean((1, 3)), half, atol=30)
    assert np.abs(whole.reshape(64, 2, 64, 2, 3).mean((1, 3)) - half).mean() < 1

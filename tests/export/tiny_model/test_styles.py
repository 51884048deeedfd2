from itertools import combinations

import numpy as np
import pytest

pytest.importorskip("torch")

from onnxflow.export.tiny_model.renderer import ALL_COLOURS, jittered_palette, render
from onnxflow.export.tiny_model.scenes import COLOURS, Background, Scene, Thing
from onnxflow.export.tiny_model.styles import edges, pastel

WHITE, RED = (255, 255, 255), (220, 20, 20)


def test_pastel_colours_are_mixed_with_white() -> None:
    assert pastel({"red": (1.0, 0.0, 0.2)})["red"] == pytest.approx((1.0, 0.55, 0.64))


def test_every_pastel_colour_is_pale_and_none_is_like_another() -> None:
    palettes = [ALL_COLOURS, *(jittered_palette(np.random.default_rng(seed), 0.015) for seed in range(20))]
    for palette in map(pastel, palettes):
        assert set(palette) == set(ALL_COLOURS)
        assert all(0.55 <= min(colour) <= max(colour) <= 1 for colour in palette.values())
        pairs = combinations((np.array(palette[name]) for name in COLOURS), 2)
        assert min(float(np.linalg.norm(one - other)) for one, other in pairs) > 0.1


def squares(*colours: tuple[int, int, int]) -> np.ndarray:
    """A square of the second colour, rows and columns 10 to 19, on the first."""
    picture = np.full((32, 32, 3), colours[0], np.uint8)
    picture[10:20, 10:20] = colours[1]
    return picture


def test_the_edges_of_a_square_are_a_frame_two_pixels_wide() -> None:
    wanted = np.zeros((32, 32), np.bool_)
    wanted[9:21, 9:21] = True
    wanted[11:19, 11:19] = False
    wanted[[9, 9, 20, 20], [9, 20, 9, 20]] = False  # outer corners touch the square at no side
    found = edges(squares(WHITE, RED))
    assert found.dtype == np.bool_
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("level", "seen"), [(130, False), (131, True), (69, True), (70, False)])
def test_a_difference_of_twelve_per_cent_in_any_channel_is_an_edge(level: int, seen: bool) -> None:
    for channel in range(3):
        colour = [100, 100, 100]
        colour[channel] = level
        assert edges(squares((100, 100, 100), tuple(colour))).any() == seen


@pytest.mark.parametrize("direction", ["horizontal", "vertical"])
def test_a_gradient_has_no_edges(direction: str) -> None:
    background = Background("gradient", "white", "black", direction)
    assert not edges(render(Scene(background, ()))).any()


@pytest.mark.parametrize("colour", COLOURS)
def test_a_plain_picture_has_no_edges(colour: str) -> None:
    assert not edges(render(Scene(Background("plain", colour), ()))).any()


def test_stripes_have_edges_where_they_meet() -> None:
    found = edges(render(Scene(Background("striped", "white", "blue", "vertical"), ())))
    assert (found == found[:1]).all()
    assert np.flatnonzero(found[0]).tolist() == [x for start in range(16, 128, 16) for x in (start - 1, start)]


def test_every_thing_of_another_colour_than_its_background_is_outlined() -> None:
    for one, other in combinations(COLOURS, 2):
        found = edges(render(Scene(Background("plain", one), (Thing("square", other, 64, 64, 30),))))
        rows, columns = np.nonzero(found)
        reach = 0.85 * 30
        for places in (rows, columns):
            assert places.min() == pytest.approx(64 - reach, abs=2)
            assert places.max() == pytest.approx(64 + reach, abs=2)
        assert not found[45:84, 45:84].any()

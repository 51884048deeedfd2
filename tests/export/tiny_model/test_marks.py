# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.autoencoder import mark_loss
from onnxflow.export.tiny_model.landscapes import LANDMARKS, Landscape
from onnxflow.export.tiny_model.marks import LEVEL_OF, Mark, mark_map, marks_of
from onnxflow.export.tiny_model.scenes import SHAPES, Background, Scene, Thing

PLAIN = Background("plain", "white")


def test_every_shape_and_landmark_has_a_level_of_its_own_far_from_nothings() -> None:
    levels = [0.0, *LEVEL_OF.values()]
    assert set(LEVEL_OF) == {*SHAPES, *LANDMARKS}
    assert min(abs(a - b) for a in levels for b in levels if a != b) >= 0.199
    assert len(set(levels)) == len(levels)


def test_a_thing_fills_the_cells_it_covers_with_its_level() -> None:
    levels = mark_map((Mark(63.5, 63.5, 16, 0.8),), 0, 0, 128)
    assert levels.shape == (16, 16)
    assert (levels[6:10, 6:10] == np.float32(0.8)).all()
    assert np.count_nonzero(levels) == 16


def test_what_lies_inside_is_in_front() -> None:
    scene = Scene(PLAIN, (Thing("star", "red", 64, 64, 16), Thing("circle", "blue", 64, 64, 42)), "inside")
    levels = mark_map(marks_of(scene), 0, 0, 128)
    assert levels[8, 8] == np.float32(LEVEL_OF["star"])
    assert levels[8, 4] == np.float32(LEVEL_OF["circle"])
    assert levels[0, 0] == 0


def test_a_crop_has_the_levels_of_its_part_and_is_not_asked_about_what_it_cuts() -> None:
    marks = (Mark(40, 40, 16, 0.4), Mark(100, 100, 16, -0.4))
    whole = mark_map(marks, 0, 0, 128)
    part = mark_map(marks, 16, 16, 64)
    np.testing.assert_array_equal(part[:5, :5], whole[2:7, 2:7])
    cut = mark_map(marks, 40, 40, 64)
    assert np.isnan(cut[0, 0]) and np.isnan(cut[-1, -1])
    assert np.nanmax(np.abs(cut)) == 0


def test_a_landscape_is_marked_where_its_landmark_stands() -> None:
    places = {"x": 96.0, "horizon": 86.0, "slope": 6.0, "sun": 28.0}
    levels = mark_map(marks_of(Landscape("day", "grass", "tree", "right", True, **places)), 0, 0, 128)
    rows, columns = np.nonzero(levels)
    assert levels[8, 12] == np.float32(LEVEL_OF["tree"])
    assert columns.min() >= 8 and 4 <= rows.min() <= rows.max() <= 12
    assert marks_of(Landscape("day", "grass", None, None, False, **places)) == ()


def test_the_loss_weighs_things_and_nothing_the_same_and_leaves_out_what_is_cut() -> None:
    levels = torch.zeros(1, 4, 4)
    levels[0, 0, 0] = 0.8
    assert mark_loss(torch.zeros(1, 4, 4), levels).item() == pytest.approx(0.8)
    assert mark_loss(levels + 0.1, levels).item() == pytest.approx(0.2)
    levels[0, 3] = torch.nan
    assert mark_loss(torch.full((1, 4, 4), 5.0), levels).item() == pytest.approx(4.2 + 5)
    assert mark_loss(torch.ones(1, 2, 2), torch.full((1, 2, 2), torch.nan)).item() == 0

"""Areas: how they are read, resolved, clipped and feathered, and the bounds of masks."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling.area import Area, AreaShare, bounds, feather, read_area


@st.composite
def windows(draw: st.DrawFn) -> tuple[Area, int, int]:
    """An area within a latent, and the latent's height and width."""
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    y, x = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    return Area(draw(st.integers(1, height - y)), draw(st.integers(1, width - x)), y, x), height, width


@pytest.mark.parametrize(
    ("option", "area"),
    [
        ((8, 12, 0, 3), Area(8, 12, 0, 3)),
        ([8, 12.0, 0, 3], Area(8, 12, 0, 3)),
        (("percentage", 0.4, 0.5, 0.3, 0.25), AreaShare(0.4, 0.5, 0.3, 0.25)),
        (("percentage", 0, 1, 0, 1), AreaShare(0, 1, 0, 1)),
    ],
)
def test_areas_are_read_from_options(option: Any, area: Area | AreaShare) -> None:
    assert read_area(option) == area


@pytest.mark.parametrize(
    "option",
    [
        *((8, 8, 0), (8, 8, 0, 0, 0), (1, 8, 8, 0, 0, 0), (), "8800", 8, {"y": 3}),
        *((8, 8, 0, "0"), (8, 8, None, 0), (8, 8, 0.5, 0), (8, 8, math.nan, 0), (math.inf, 8, 0, 0)),
        *((0, 8, 0, 0), (8, -8, 0, 0), (8, 8, -1, 0), (8, 8, 0, -1)),
        *(("percentage", 0.5, 0.5, 0.5), ("percentage", math.nan, 1, 0, 0), ("percentage", 1, 1, 0, -0.1)),
        *(("percentage", 1, 1.5, 0, 0), ("percentage", 1, 1, "0", 0), ("pixels", 8, 8, 0, 0)),
    ],
)
def test_an_area_of_a_wrong_form_is_refused(option: Any) -> None:
    with pytest.raises(InputError) as caught:
        read_area(option)
    assert repr(option) in caught.value.message and "(height, width, y, x)" in caught.value.message


@pytest.mark.parametrize(
    ("share", "area"),
    [
        (AreaShare(0.4, 0.5, 0.3, 0.25), Area(6, 12, 5, 6)),
        (AreaShare(0.0, 0.01, 0.0, 1.0), Area(1, 1, 0, 24)),
        (AreaShare(2.5 / 16, 3.5 / 24, 2.5 / 16, 0.5 / 24), Area(2, 4, 2, 0)),  # halves go to the even number
        (AreaShare(1, 1, 0, 0), Area(16, 24, 0, 0)),
    ],
)
def test_shares_are_resolved_by_the_size_of_the_latent(share: AreaShare, area: Area) -> None:
    assert share.resolved(16, 24) == area


def test_an_area_is_clipped_at_the_border() -> None:
    assert Area(16, 16, 8, 16).clipped(16, 24) == Area(8, 8, 8, 16)
    assert Area(4, 5, 1, 2).clipped(16, 24) == Area(4, 5, 1, 2)


@pytest.mark.parametrize("area", [Area(8, 9, 16, 0), Area(8, 9, 0, 24), Area(8, 9, 99, 99)])
def test_an_area_outside_the_latent_is_refused(area: Area) -> None:
    with pytest.raises(InputError) as caught:
        area.clipped(16, 24)
    for part in ("height 8 and width 9", f"y {area.y}, x {area.x}", "16 high and 24 wide"):
        assert part in caught.value.message


def test_what_lies_within_an_area() -> None:
    area = Area(4, 5, 2, 3)
    assert area.holds(area) and area.holds(Area(1, 1, 5, 7)) and area.size == 20
    for outside in (Area(4, 5, 1, 3), Area(4, 5, 2, 2), Area(4, 6, 2, 3), Area(5, 5, 2, 3), Area(1, 1, 6, 3)):
        assert not area.holds(outside)


@given(windows())
def test_the_part_of_an_array_is_a_view_of_the_areas_size(window: tuple[Area, int, int]) -> None:
    area, height, width = window
    array = np.zeros((2, 3, height, width), np.float32)
    part = area.of(array)
    part += 1
    assert part.shape == (2, 3, area.height, area.width)
    assert array.sum() == 6 * area.size
    assert (array[:, :, area.y, area.x] == 1).all()


def test_feathered_edges_rise_in_equal_steps() -> None:
    rows, columns = feather(Area(8, 40, 4, 0), 16, 64)
    assert rows[:, 0].tolist() == [0.5, 1, 1, 1, 1, 1, 1, 0.5]
    assert columns[0].tolist() == [1.0] * 32 + [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    thirds = feather(Area(12, 3, 4, 4), 16, 16)
    assert thirds[0][:4, 0].tolist() == [float(np.float32((1.0 / 3) * k)) for k in (1, 2, 3)] + [1]
    assert thirds[0][-3:, 0].tolist() == [1, 1, 1]  # it ends at the latent's own edge
    assert thirds[1].tolist() == [[1, 1, 1]]  # too small to fade


@given(windows())
def test_feathered_weights_lie_between_0_and_1_and_fade_only_at_inner_edges(window: tuple[Area, int, int]) -> None:
    area, height, width = window
    rows, columns = feather(area, height, width)
    weights = rows * columns
    assert weights.shape == (area.height, area.width) and weights.dtype == np.float32
    assert (weights > 0).all() and (weights <= 1).all()
    assert weights[area.height // 2, area.width // 2] == 1
    for inner, edge, size in (
        (area.y > 0, rows[0], area.height),
        (area.y + area.height < height, rows[-1], area.height),
        (area.x > 0, columns[:, 0], area.width),
        (area.x + area.width < width, columns[:, -1], area.width),
    ):
        assert edge.item() == (np.float32(1 / min(8, size // 4)) if inner and size >= 4 else 1)


@given(st.integers(1, 100), st.integers(1, 100))
def test_an_area_that_is_the_whole_latent_does_not_fade(height: int, width: int) -> None:
    rows, columns = feather(Area(height, width), height, width)
    assert (rows * columns == 1).all()


def test_the_bounds_of_a_mask_hold_what_any_of_its_rows_has() -> None:
    mask = np.zeros((2, 30, 40), np.float32)
    assert bounds(mask) == Area(8, 8, 0, 0)
    mask[0, 5, 7], mask[1, 20, 9] = 0.001, -1
    assert bounds(mask) == Area(16, 8, 5, 7)
    mask[1, 20, 30] = 1
    assert bounds(mask) == Area(16, 24, 5, 7)
    assert all(type(number) is int for number in (bounds(mask).height, bounds(mask).y, bounds(mask).x))

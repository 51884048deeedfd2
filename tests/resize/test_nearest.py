import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.resize import resize
from onnxflow.resize.nearest import places


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_whole_factors_repeat_pixels(h: int, w: int, down: int, across: int) -> None:
    values = np.random.default_rng(h + w).standard_normal((1, 3, h, w)).astype(np.float32)
    found = resize(values, w * across, h * down, "nearest-exact")
    assert np.array_equal(found, values.repeat(down, axis=2).repeat(across, axis=3))


def test_a_third_takes_the_middle_pixel() -> None:
    assert places(9, 3).tolist() == [1, 4, 7]
    assert places(8, 4).tolist() == [1, 3, 5, 7]  # between two middles the later one


@pytest.mark.parametrize(
    ("old", "new", "index", "place"), [(2, 61, 30, 0), (4, 41, 20, 1), (2, 189, 94, 1), (2, 25, 12, 1)]
)
def test_a_centre_on_a_border_goes_where_float32_puts_it(old: int, new: int, index: int, place: int) -> None:
    # Places of PyTorch 2.13 on CPU, for results of 200 rows; exactly, all these centres are on the border before
    # pixel 1 (or 2, from 4).
    assert places(old, new)[index] == place


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_places_rise_and_stay_inside(old: int, new: int) -> None:
    found = places(old, new)
    assert len(found) == new
    assert found.min() >= 0 and found.max() < old
    assert (np.diff(found) >= 0).all()

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.resize import area, resize


def test_whole_divisors_average_blocks() -> None:
    values = np.random.default_rng(0).random((1, 2, 12, 20), np.float32)
    expected = values.reshape(1, 2, 4, 3, 5, 4).mean(axis=(3, 5))
    assert resize(values, 5, 4, "area") == pytest.approx(expected, abs=1e-6)


def test_a_pixel_across_a_border_counts_whole_on_both_sides() -> None:
    values = np.array([0, 1, 4], np.float32).reshape(1, 1, 1, 3)
    assert resize(values, 2, 1, "area")[0, 0, 0].tolist() == [0.5, 2.5]
    assert resize(values, 4, 1, "area")[0, 0, 0].tolist() == [0, 0.5, 2.5, 4]


@given(st.integers(1, 300), st.integers(1, 300))
def test_windows_are_those_of_adaptive_pooling(old: int, new: int) -> None:
    taps = area.taps(old, new)
    for index in range(new):
        weights = np.zeros(old)
        np.add.at(weights, taps.places[:, index], taps.weights[:, index])
        start, stop = index * old // new, -((index + 1) * old // -new)
        assert weights[start:stop] == pytest.approx(1 / (stop - start))
        assert not weights[:start].any() and not weights[stop:].any()


def test_a_wide_window_is_as_exact_as_a_narrow_one() -> None:
    # Summed in float32, 3000 times 0.1 would be 1e-5 off.
    values = np.full((1, 1, 3000, 3000), 0.1, np.float32)
    assert resize(values, 1, 1, "area").item() == pytest.approx(0.1, rel=1e-7)


def test_a_hole_does_not_reach_beyond_its_windows() -> None:
    values = np.zeros((1, 1, 1, 7), np.float32)
    values[..., 3] = np.nan
    # The windows are 0-1, 1-2, 2-4, 4-5, 5-6: the second one's spare tap must not be pixel 3.
    assert np.isnan(resize(values, 5, 1, "area")[0, 0, 0]).tolist() == [False, False, True, False, False]

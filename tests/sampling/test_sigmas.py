import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling import Array, discrete_sampling, flow_sampling, ksampler_sigmas
from onnxflow.sampling.sigmas import SPACINGS, at_percent, extend, flip, split, split_denoise, with_first

EMPTY = np.empty(0, np.float32)


def falling(*levels: float) -> Array:
    return np.array(levels, np.float32)


TEN = falling(*range(10, -1, -1))


@pytest.mark.parametrize(
    ("step", "high", "low"),
    [(0, [10], TEN), (3, [10, 9, 8, 7], TEN[3:]), (10, TEN, [0]), (11, TEN, []), (99, TEN, [])],
)
def test_split(step: int, high: list[float], low: list[float]) -> None:
    first, second = split(TEN, step)
    assert np.array_equal(first, high)
    assert np.array_equal(second, low)


@pytest.mark.parametrize(
    ("denoise", "last"),
    [(1.0, 10), (0.5, 5), (0.25, 2), (0.35, 4), (0.1, 1)],  # 2.5 is rounded to 2, and 3.5 to 4
)
def test_split_denoise(denoise: float, last: int) -> None:
    first, second = split_denoise(TEN, denoise)
    assert np.array_equal(first, TEN[: 11 - last])
    assert np.array_equal(second, TEN[10 - last :])


def test_splitting_off_no_step_leaves_the_last_level() -> None:
    first, second = split_denoise(TEN, 0.04)
    assert first.shape == (0,)
    assert np.array_equal(second, [0])


def test_nothing_comes_of_an_empty_schedule() -> None:
    for made in (*split(EMPTY, 0), *split(EMPTY, 3), *split_denoise(EMPTY, 1.0), *split_denoise(EMPTY, 0.0)):
        assert made.shape == (0,)
    assert flip(EMPTY).shape == (0,)
    assert extend(EMPTY, 2, -1.0, 12.0, "linear").shape == (0,)
    with pytest.raises(InputError, match="empty"):
        with_first(EMPTY, 1.0)


def test_flip() -> None:
    assert np.array_equal(flip(falling(3, 2, 1, 0)), np.float32([0.0001, 1, 2, 3]))
    assert np.array_equal(flip(falling(3, 2, 1)), [1, 2, 3])


def test_with_first() -> None:
    assert np.array_equal(with_first(falling(3, 2, 0), 136.1), np.float32([136.1, 2, 0]))
    assert np.array_equal(with_first(falling(3), 0.0), [0])
    with pytest.raises(InputError, match="cannot be 0"):
        with_first(falling(3, 2, 0), 0.0)


def test_what_is_given_stays_as_it_is() -> None:
    given_levels = TEN.copy()
    flip(TEN)
    with_first(TEN, 5.0)
    extend(TEN, 3, -1.0, 0.0, "sine")
    assert np.array_equal(TEN, given_levels)


@pytest.mark.parametrize(
    ("spacing", "share"), [("linear", 0.25), ("cosine", math.sin(math.pi / 8)), ("sine", 1 - math.cos(math.pi / 8))]
)
def test_extend_cuts_each_step_in_the_range(spacing: str, share: float) -> None:
    made = extend(falling(20, 16, 8, 4, 0), 4, 18.0, 8.0, spacing)
    assert len(made) == 5 + 2 * 3
    assert made.dtype == np.float32
    assert made[:2] == pytest.approx([20, 16])  # above the range
    assert made[2] == pytest.approx(16 - share * 8, rel=1e-6)
    assert made[6] == pytest.approx(8 - share * 4, rel=1e-6)  # 8 is in it
    assert made[-3:] == pytest.approx([made[-3], 4, 0])
    assert made[5] == 8


def test_extend_starts_anywhere_for_a_negative_start() -> None:
    assert np.array_equal(extend(falling(20, 10, 0), 2, -1.0, 12.0, "linear"), [20, 15, 10, 0])
    assert np.array_equal(extend(falling(20, 10, 0), 2, 15.0, 5.0, "linear"), [20, 10, 5, 0])
    assert np.array_equal(extend(falling(20, 10, 0), 1, -1.0, 0.0, "linear"), [20, 10, 0])
    assert np.array_equal(extend(falling(20), 2, -1.0, 0.0, "linear"), [20])


@given(st.integers(2, 40), st.integers(1, 9), st.sampled_from(SPACINGS), st.floats(0, 15))
def test_an_extended_schedule_still_falls_and_has_all_its_levels(
    steps: int, cut: int, spacing: str, end: float
) -> None:
    sigmas = ksampler_sigmas(discrete_sampling(), "normal", "euler", steps)
    made = extend(sigmas, cut, -1.0, end, spacing)
    assert (np.diff(made) < 0).all()
    assert set(sigmas) <= set(made)
    assert len(made) == len(sigmas) + (cut - 1) * int((sigmas[:-1] >= end).sum())


def test_at_percent() -> None:
    sd, flow = discrete_sampling(), flow_sampling(3.0)
    assert at_percent(sd, 0.0, actual=False) == 999999999.9
    assert at_percent(sd, 1.0, actual=False) == 0
    assert at_percent(sd, 0.0, actual=True) == float(sd.sigma_max)
    assert at_percent(sd, 1.0, actual=True) == float(sd.sigma_min)
    assert at_percent(sd, 0.5, actual=True) == at_percent(sd, 0.5, actual=False) == sd.levels.percent_to_sigma(0.5)
    assert at_percent(flow, 0.0, actual=False) == 1
    assert type(at_percent(sd, 0.0, actual=True)) is float


def test_bad_values_are_refused() -> None:
    with pytest.raises(InputError, match="step is -1"):
        split(TEN, -1)
    with pytest.raises(InputError, match="denoise is nan"):
        split_denoise(TEN, math.nan)
    with pytest.raises(InputError, match="steps is 0"):
        extend(TEN, 0, -1.0, 0.0, "linear")
    with pytest.raises(InputError, match="'cosin'") as caught:
        extend(TEN, 2, -1.0, 0.0, "cosin")
    assert "cosine" in caught.value.hint

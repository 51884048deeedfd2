import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling.align_your_steps import FAMILIES, align_your_steps

ENDS = {"SD1": (14.6146412293, 0.1515232662), "SDXL": (14.6146412293, 0.1114188177), "SVD": (700.0, 0.034)}


@pytest.mark.parametrize("family", FAMILIES)
def test_ten_steps_are_the_table(family: str) -> None:
    sigmas = align_your_steps(family, 10)
    assert sigmas.dtype == np.float32
    assert len(sigmas) == 11
    assert (sigmas[0], sigmas[-2], sigmas[-1]) == (*map(np.float32, ENDS[family]), 0)


def test_other_numbers_of_steps_lie_between_in_log_sigma() -> None:
    ten, twenty, five = (align_your_steps("SD1", steps) for steps in (10, 20, 5))
    assert twenty[::2] == pytest.approx(ten, rel=1e-6)
    assert twenty[1] == pytest.approx(math.sqrt(ten[0] * ten[1]), rel=1e-6)
    assert five == pytest.approx(ten[::2], rel=1e-6)
    # The table's own last level, 0.029, is what the step before the end leans on, and not the 0 it becomes.
    assert twenty[-2] == pytest.approx(math.sqrt(0.1515232662 * 0.0291671582), rel=1e-6)


@pytest.mark.parametrize(
    ("steps", "denoise", "levels"), [(10, 0.5, 6), (10, 0.25, 3), (10, 0.35, 5), (10, 0.01, 1), (7, 1.0, 8)]
)
def test_denoise_keeps_the_last_steps(steps: int, denoise: float, levels: int) -> None:
    assert np.array_equal(align_your_steps("SDXL", steps, denoise), align_your_steps("SDXL", steps)[-levels:])


@given(st.sampled_from(FAMILIES), st.integers(1, 2000))
def test_they_fall_to_zero(family: str, steps: int) -> None:
    sigmas = align_your_steps(family, steps)
    assert len(sigmas) == steps + 1
    assert (np.diff(sigmas) < 0).all()


def test_denoise_zero_is_empty_and_tables_stay_as_they_are() -> None:
    assert align_your_steps("SD1", 10, 0.0).shape == (0,)
    align_your_steps("SD1", 10)[:] = 0
    assert align_your_steps("SD1", 10)[0] > 14


def test_what_there_is_no_table_for_is_refused() -> None:
    with pytest.raises(InputError, match="SD3"):
        align_your_steps("SD3", 10)
    with pytest.raises(InputError, match="denoise"):
        align_your_steps("SD1", 10, 1.5)
    with pytest.raises(InputError, match="steps"):
        align_your_steps("SD1", 0)

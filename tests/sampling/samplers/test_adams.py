import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.sampling.samplers.adams import _EQUAL_STEPS, _integrals, _unequal_steps

apart = st.lists(st.floats(0.1, 2), min_size=1, max_size=6)


@given(apart, st.floats(0.1, 2))
def test_polynomials_are_integrated_exactly(gaps: list[float], step: float) -> None:
    levels = np.cumsum(gaps)
    start, end = levels[0], levels[0] - step
    weights = _integrals(levels.tolist(), start, end)
    for power in range(len(levels)):
        exact = (end ** (power + 1) - start ** (power + 1)) / (power + 1)
        assert np.dot(weights, levels**power) == pytest.approx(exact, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_equal_steps_have_the_weights_of_the_table(count: int) -> None:
    if count < 4:  # the fourth correction of the published method is not that of Adams and Bashforth
        assert _unequal_steps([0.5] * count) == pytest.approx(_EQUAL_STEPS[count - 1])
        assert sum(_unequal_steps([0.3, 0.5, 0.7][:count])) == pytest.approx(1)
    levels = [1.0 + 0.5 * k for k in range(count)]
    assert np.array(_integrals(levels, 1.0, 0.5)) / -0.5 == pytest.approx(_EQUAL_STEPS[count - 1])


def test_the_second_order_is_that_of_unequal_steps() -> None:
    assert np.array(_integrals([1.0, 1.7], 1.0, 0.4)) / -0.6 == pytest.approx(_unequal_steps([-0.6, -0.7]))

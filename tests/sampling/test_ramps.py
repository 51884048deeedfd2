"""Schedules that know no model, against their formulas written once more in float64."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.sampling import Array, discrete_sampling, ramps
from onnxflow.sampling.schedules import exponential, karras

LOW, HIGH = 0.0291675, 14.614642
STEPS = [1, 2, 7, 20]

levels = st.floats(0.001, 1000.0)


def even(first: float, last: float, steps: int) -> list[float]:
    return [first + (last - first) * k / max(steps - 1, 1) for k in range(steps)]


def check(sigmas: Array, expected: list[float], rel: float = 3e-6) -> None:
    """Formulas in float32 amplify their rounding: a logarithm of 10 is known to 1e-6, and so is what it is of."""
    assert sigmas.dtype == np.float32
    assert sigmas == pytest.approx(np.array(expected), rel=rel)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("rho", [0.5, 1.0, 3.0, 7.0, 100.0])
def test_karras(steps: int, rho: float) -> None:
    first = HIGH ** (1 / rho)
    roots = even(first, LOW ** (1 / rho), steps)
    made = ramps.karras(steps, LOW, HIGH, rho)
    assert len(made) == steps + 1
    assert made[-1] == 0
    for level, root in zip(made, roots, strict=False):
        # A root is known to a unit in the last place of the largest.
        assert level == pytest.approx(root**rho, rel=1e-6, abs=2e-7 * first * rho * root ** (rho - 1))


@pytest.mark.parametrize("steps", STEPS)
def test_exponential(steps: int) -> None:
    check(ramps.exponential(steps, LOW, HIGH), [*map(math.exp, even(math.log(HIGH), math.log(LOW), steps)), 0])


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("rho", [0.0, 0.5, 1.0, 3.0])
def test_polyexponential(steps: int, rho: float) -> None:
    expected = [math.exp(u**rho * math.log(HIGH / LOW) + math.log(LOW)) for u in even(1, 0, steps)]
    check(ramps.polyexponential(steps, LOW, HIGH, rho), [*expected, 0])


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("mu", "beta"), [(0.0, 0.5), (1.0, 0.3), (-2.0, 1.5), (0.0, 0.0)])
def test_laplace(steps: int, mu: float, beta: float) -> None:
    expected = []
    for u in even(0, 1, steps):
        side = (u < 0.5) - (u > 0.5)
        log = mu - beta * side * math.log(1 - 2 * abs(0.5 - u) + 1e-5)
        expected.append(min(max(math.exp(log), LOW), HIGH))
    check(ramps.laplace(steps, LOW, HIGH, mu, beta), expected, rel=1e-5)


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(("beta_d", "beta_min", "eps_s"), [(19.9, 0.1, 0.001), (5.0, 0.0, 0.3), (0.0, 2.0, 0.0001)])
def test_vp(steps: int, beta_d: float, beta_min: float, eps_s: float) -> None:
    times = even(1, eps_s, steps)
    check(
        ramps.vp(steps, beta_d, beta_min, eps_s),
        [*(math.sqrt(math.exp(beta_d * t * t / 2 + beta_min * t) - 1) for t in times), 0],
    )


def test_the_named_schedules_are_these_between_the_models_ends() -> None:
    model = discrete_sampling()
    ends = float(model.sigma_min), float(model.sigma_max)
    assert np.array_equal(karras(model.levels, 20), ramps.karras(20, *ends, 7.0))
    assert np.array_equal(exponential(model.levels, 20), ramps.exponential(20, *ends))


@given(st.integers(1, 300), levels, levels, st.floats(1.0, 20.0))
def test_they_run_from_one_level_to_the_other(steps: int, one: float, other: float, rho: float) -> None:
    for made in (
        ramps.karras(steps, one, other, rho), ramps.exponential(steps, one, other),
        ramps.polyexponential(steps, one, other, rho),
    ):  # fmt: skip
        assert made.shape == (steps + 1,)
        assert made[0] == pytest.approx(other, rel=1e-4)
        assert steps == 1 or made[-2] == pytest.approx(one, rel=1e-4, abs=1e-6 * other)
        assert made[-1] == 0


@given(st.integers(1, 300), levels, levels, st.floats(-10, 10), st.floats(0, 10))
def test_laplace_falls_within_its_two_levels(steps: int, one: float, other: float, mu: float, beta: float) -> None:
    low, high = min(one, other), max(one, other)
    made = ramps.laplace(steps, low, high, mu, beta)
    assert made.shape == (steps,)
    assert np.float32(low) <= made.min()
    assert made.max() <= np.float32(high)
    assert (np.diff(made) <= 0).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: ramps.karras(20, LOW, HIGH, 0.0), "rho is 0"),
        (lambda: ramps.karras(20, LOW, HIGH, 0.0001), "rho 0.0001"),
        (lambda: ramps.karras(20, LOW, HIGH, 0.02), "rho 0.02"),
        (lambda: ramps.karras(20, 0.0, HIGH), "sigma_min is 0"),
        (lambda: ramps.karras(20, LOW, math.nan), "sigma_max is nan"),
        (lambda: ramps.exponential(20, 0.0, HIGH), "sigma_min is 0"),
        (lambda: ramps.exponential(20, LOW, 0.0), "sigma_max is 0"),
        (lambda: ramps.polyexponential(20, 0.0, HIGH), "sigma_min is 0"),
        (lambda: ramps.polyexponential(20, LOW, HIGH, -1.0), "rho is -1"),
        (lambda: ramps.laplace(20, 0.0, 0.0), "sigma_max 0"),
        (lambda: ramps.laplace(20, LOW, HIGH, 0.0, -1.0), "beta is -1"),
        (lambda: ramps.vp(20, 5000.0, 0.1), "beta_d 5000"),
        (lambda: ramps.vp(20, 0.0, 0.0), "beta_min 0"),
        (lambda: ramps.vp(20, 19.9, 0.1, 0.0), "eps_s 0"),
        (lambda: ramps.vp(0), "steps is 0"),
        (lambda: ramps.karras(0, LOW, HIGH), "steps is 0"),
    ],
)
def test_numbers_that_make_no_schedule_are_refused(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        make()


@pytest.mark.filterwarnings("error")
@given(
    st.integers(1, 30), st.floats(0, 5000), st.floats(0, 5000), st.floats(0, 100), st.floats(-10, 10), st.floats(0, 10)
)
def test_whatever_a_node_allows_makes_numbers_or_an_input_error(
    steps: int, one: float, other: float, rho: float, mu: float, beta: float
) -> None:
    calls: list[Callable[[], Array]] = [
        lambda: ramps.karras(steps, one, other, rho),
        lambda: ramps.exponential(steps, one, other),
        lambda: ramps.polyexponential(steps, one, other, rho),
        lambda: ramps.laplace(steps, one, other, mu, beta),
        lambda: ramps.vp(steps, one, other, rho / 100),
    ]
    for call in calls:
        try:
            assert np.isfinite(call()).all()
        except InputError as error:
            assert "allowed" in error.message or "expected" in error.message

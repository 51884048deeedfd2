import math

import numpy as np
import pytest

from onnxflow.sampling.samplers.deis import _BETA_D, _BETA_MIN, _integrand, _time, _weights

F = np.float32


def test_times_are_those_of_the_process() -> None:
    # Level 0.002 at time 0.001, level 80 at time 1.
    assert _time(np.array([0.002, 80], F)) == pytest.approx([1e-3, 1], rel=1e-2)
    sigmas = np.geomspace(0.02, 14.6, 50).astype(F)
    assert (np.diff(_time(sigmas)) > 0).all()


def test_the_weight_is_the_derivative_of_the_level() -> None:
    times = np.linspace(0.2, 0.9, 8)
    step = 1e-6

    def level(t: float) -> float:
        return math.sqrt(math.expm1(0.5 * _BETA_D * t * t + _BETA_MIN * t))

    slopes = [(level(t + step) - level(t - step)) / (2 * step) for t in times]
    assert _integrand(times) == pytest.approx(slopes, rel=1e-5)


@pytest.mark.parametrize("levels", [[4.0, 7.0], [1.0, 2.0, 4.0]])
def test_the_weights_of_a_constant_are_its_integral(levels: list[float]) -> None:
    weights = _weights([F(level) for level in levels], F(0.5))
    start, end = _time(np.array([levels[0], 0.5], F)).astype(float)
    places = np.linspace(start, end, 100_001)
    values = _integrand(places)
    exact = float(((values[1:] + values[:-1]) / 2 * np.diff(places)).sum())
    assert sum(float(weight) for weight in weights) == pytest.approx(exact, rel=1e-3)

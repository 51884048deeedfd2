import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.sampling import discrete_sampling
from onnxflow.sampling.samplers.sa_solver import _weights, tau_between

F = np.float32


@given(st.lists(st.floats(0.2, 1), min_size=1, max_size=6), st.floats(0.1, 1), st.sampled_from([0.0, 0.5, 1.0]))
def test_polynomials_are_integrated_exactly(gaps: list[float], step: float, tau: float) -> None:
    places = (np.cumsum(gaps)[::-1] * -1.0).astype(F)
    start = F(places[-1])
    end = F(start + F(step))
    weights = _weights([F(p) for p in places], start, end, tau, simple=False, correcting=False)
    rate = 1 + tau * tau
    fine = np.linspace(float(start), float(end), 20_001)
    kernel = rate * np.exp(rate * (fine - float(end)))
    for power in range(len(places)):
        values = kernel * fine**power
        exact = float(((values[1:] + values[:-1]) / 2 * np.diff(fine)).sum())
        found = float(np.dot(weights.astype(float), places.astype(float) ** power))
        assert found == pytest.approx(exact, rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("correcting", [False, True])
def test_the_simple_coefficients_integrate_a_constant(correcting: bool) -> None:
    places = [F(-2), F(-1)]
    start, end = (F(-2), F(-1)) if correcting else (F(-1), F(-0.5))
    weights = _weights(places, start, end, 1.0, simple=True, correcting=correcting)
    assert weights.sum() == pytest.approx(1 - math.exp(-2 * float(end - start)), rel=1e-5)


def test_noise_is_put_back_between_two_shares_of_the_sampling() -> None:
    model = discrete_sampling()
    tau = tau_between(model, 0.2, 0.8, 0.7)
    inside, before, after = (F(model.levels.percent_to_sigma(p)) for p in (0.5, 0.1, 0.9))
    assert tau(inside) == 0.7
    assert tau(before) == tau(after) == 0
    assert tau_between(model, 0.0, 1.0, 0.0)(inside) == 0

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.sampling import discrete_sampling, flow_sampling
from onnxflow.sampling.samplers.step import (
    LogSnr,
    ancestral_levels,
    between,
    exp,
    expm1,
    flow_ancestral,
    log,
    noise_share,
    off_pure_noise,
)

F = np.float32
levels = st.floats(2**-9, 1024, width=32)
flow_levels = st.floats(2**-9, 1 - 2**-9, width=32)


@given(levels, levels, st.floats(0, 1))
def test_what_stays_and_what_is_added_make_the_next_level(one: float, other: float, eta: float) -> None:
    sigma, sigma_next = F(max(one, other)), F(min(one, other))
    down, up = ancestral_levels(sigma, sigma_next, eta)
    assert math.hypot(down, up) == pytest.approx(float(sigma_next), rel=1e-6)
    assert 0 <= up <= sigma_next


def test_the_level_to_step_down_to_is_that_of_the_formula() -> None:
    # For eta 1 it is sigma_next^2 / sigma, a small difference of large squares.
    down, _ = ancestral_levels(F(0.4396657), F(0.02916716), 1.0)
    assert down == pytest.approx(0.02916716**2 / 0.4396657, rel=1e-6)


@pytest.mark.parametrize(("sigma", "sigma_next"), [(math.inf, 2.0), (1.0, 2.0)])
def test_all_of_a_step_up_is_noise(sigma: float, sigma_next: float) -> None:
    assert ancestral_levels(F(sigma), F(sigma_next), 0.5) == (0, F(sigma_next))
    assert ancestral_levels(F(sigma), F(sigma_next), 0.0) == (F(sigma_next), 0)


@given(flow_levels, flow_levels, st.floats(0, 1))
def test_an_ancestral_step_of_flow_keeps_both_shares(one: float, other: float, eta: float) -> None:
    sigma, sigma_next = F(max(one, other)), F(min(one, other))
    step = flow_ancestral(sigma, sigma_next, F(eta))
    assert step.scale * (1 - step.down) == pytest.approx(float(1 - sigma_next), rel=1e-5)
    assert math.hypot(step.scale * step.down, step.up) == pytest.approx(float(sigma_next), rel=1e-4, abs=1e-6)


@given(flow_levels)
def test_a_level_comes_back_from_its_lambda(level: float) -> None:
    for snr in (LogSnr(flow=False), LogSnr(flow=True)):
        assert snr.sigma(snr.of(F(level))) == pytest.approx(level, rel=1e-5)


@given(flow_levels)
def test_lambda_is_the_logarithm_of_signal_over_noise(level: float) -> None:
    assert LogSnr(flow=False).of(F(level)) == pytest.approx(-math.log(level), rel=1e-6, abs=1e-6)
    assert LogSnr(flow=True).of(F(level)) == pytest.approx(math.log((1 - level) / level), rel=1e-5, abs=1e-5)
    assert LogSnr(flow=False).alpha(F(level)) == pytest.approx(1, rel=1e-6)
    assert LogSnr(flow=True).alpha(F(level)) == pytest.approx(1 - level, rel=1e-5, abs=1e-6)


def test_the_ends_have_infinite_lambdas() -> None:
    for snr in (LogSnr(flow=False), LogSnr(flow=True)):
        assert snr.of(F(0)) == math.inf
        assert snr.sigma(F(math.inf)) == 0
    assert LogSnr(flow=True).of(F(1)) == -math.inf
    assert LogSnr(flow=True).alpha(F(1)) == 0


def test_only_flow_is_moved_off_pure_noise() -> None:
    sigmas = np.array([1, 0.5, 0], F)
    assert off_pure_noise(sigmas, discrete_sampling()) is sigmas
    moved = off_pure_noise(sigmas, flow_sampling(3.0))
    assert moved[0] == pytest.approx(0.99996666)
    assert np.array_equal(moved[1:], sigmas[1:])
    assert sigmas[0] == 1
    later = np.array([0.9, 0.5, 0], F)
    assert off_pure_noise(later, flow_sampling(3.0)) is later


def test_numbers_at_the_ends_are_infinite_and_no_error() -> None:
    assert log(F(0)) == -math.inf
    assert exp(F(1000)) == expm1(F(1000)) == math.inf
    assert exp(F(-1000)) == 0
    assert expm1(F(1e-8)) == F(1e-8)
    assert between(F(2), F(8)) == pytest.approx(4)
    assert noise_share(F(-math.inf)) == 1
    assert math.isnan(noise_share(F(0.1)))

"""The arithmetic that samplers share. Scalars are np.float32, so that it is that of float32 tensors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.protocols import Array

ZERO = np.float32(0)
HALF = np.float32(0.5)
ONE = np.float32(1)
TWO = np.float32(2)

_FIRST_PERCENT = 1e-4


def derivative(x: Array, sigma: np.float32, denoised: Array) -> Array:
    """dx/dsigma of the probability flow ODE: Karras et al. (2022), algorithm 2, line 7."""
    return (x - denoised) / sigma


def exp(value: np.float32) -> np.float32:
    """e^value."""
    return np.float32(np.inf) if value >= 88.0 else np.float32(math.exp(value))


def expm1(value: np.float32) -> np.float32:
    """e^value - 1, exact near 0."""
    return np.float32(np.inf) if value >= 88.0 else np.float32(math.expm1(value))


def log(value: np.float32) -> np.float32:
    """The natural logarithm; -infinity at 0."""
    return np.float32(-np.inf) if value <= 0 else np.float32(math.log(value))


def solved(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights that solve a linear system; NaN where levels coincide, so that there are none."""
    try:
        return np.asarray(np.linalg.solve(matrix, right), np.float64)
    except np.linalg.LinAlgError:
        return np.full(len(right), np.nan)


def between(low: np.float32, high: np.float32) -> np.float32:
    """The geometric mean of two noise levels."""
    return exp(log(low) + HALF * (log(high) - log(low)))


def noise_share(exponent: np.float32) -> np.float32:
    """sqrt(1 - e^exponent): the deviation that noise of an Ornstein-Uhlenbeck process has gathered; NaN for a positive
    exponent, which is a step towards more noise."""
    share = -expm1(exponent)
    return np.float32(math.sqrt(share)) if share >= 0 else np.float32(np.nan)


def ancestral_levels(sigma: np.float32, sigma_next: np.float32, eta: float) -> tuple[np.float32, np.float32]:
    """The level to step down to and the deviation of the noise to add there, whose squares sum to sigma_next^2: Song et
    al. (2021) DDIM, eq. 16 in terms of sigma. With ``eta`` 0 no noise is added; where the variance is no number (from
    infinite noise, or towards more of it) all of sigma_next is noise.

    In float64: the level to step down to is a small difference, of which float32 would leave three digits.
    """
    if eta == 0:
        return sigma_next, ZERO
    a, b = float(sigma) ** 2, float(sigma_next) ** 2
    if not math.isfinite(a) or not b <= a:
        return ZERO, sigma_next
    up = min(float(sigma_next), eta * math.sqrt(b * (a - b) / a))
    return np.float32(math.sqrt(b - up * up)), np.float32(up)


@dataclass(frozen=True, slots=True)
class FlowAncestral:
    """An ancestral step of rectified flow (Liu et al. 2022), x = sigma noise + (1 - sigma) latent: a share ``eta`` of
    the step is overshot to ``down``, then the latent is scaled by ``scale`` and noise of deviation ``up`` added, so
    that both shares are those of the next level."""

    down: np.float32
    scale: np.float32
    up: np.float32


def flow_ancestral(sigma: np.float32, sigma_next: np.float32, eta: np.float32) -> FlowAncestral:
    """The ancestral step from ``sigma`` to ``sigma_next``."""
    down = sigma_next * (ONE + (sigma_next / sigma - ONE) * eta)
    alpha_next, alpha_down = ONE - sigma_next, ONE - down
    if alpha_down == 0:
        return FlowAncestral(down, ONE, ZERO)
    variance = sigma_next * sigma_next - down * down * (alpha_next * alpha_next) / (alpha_down * alpha_down)
    return FlowAncestral(down, alpha_next / alpha_down, np.float32(np.sqrt(max(variance, ZERO))))


@dataclass(frozen=True, slots=True)
class LogSnr:
    """Half the logarithm of the signal-to-noise ratio, lambda = log(alpha / sigma): Kingma et al. (2021), and Lu et al.
    (2022) DPM-Solver, section 2.2. alpha is 1 where x = latent + sigma noise, and 1 - sigma in rectified flow."""

    flow: bool

    def of(self, sigma: np.float32) -> np.float32:
        """lambda at a noise level; -infinity at pure noise, infinity at 0."""
        if sigma == 0:
            return np.float32(np.inf)
        if not self.flow:
            return -log(sigma)
        return -log(sigma / (ONE - sigma)) if sigma < 1 else np.float32(-np.inf)

    def sigma(self, value: np.float32) -> np.float32:
        """The noise level at lambda ``value``."""
        if not self.flow:
            return exp(-value)
        return ONE / (ONE + exp(value))

    def alpha(self, sigma: np.float32) -> np.float32:
        """The share of the clean latent at a noise level above 0. By way of lambda, whose rounding it shares: near pure
        noise a share of its own would be off by more."""
        return sigma * exp(self.of(sigma))


def log_snr(model_sampling: ModelSampling) -> LogSnr:
    """The clock that the model's steps are measured by."""
    return LogSnr(model_sampling.prediction.is_flow)


def off_pure_noise(sigmas: Array, model_sampling: ModelSampling) -> Array:
    """``sigmas``, of rectified flow with the first one moved a ten-thousandth of the way off pure noise, where lambda
    is infinite."""
    if not model_sampling.prediction.is_flow or len(sigmas) < 2 or sigmas[0] < 1:
        return sigmas
    moved = sigmas.copy()
    moved[0] = model_sampling.levels.percent_to_sigma(_FIRST_PERCENT)
    return moved

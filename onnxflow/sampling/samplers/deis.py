"""Diffusion exponential integrator sampler: Zhang & Chen (2023), arXiv:2204.13902."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import derivative

_ORDER = 3
_POINTS = 10_000

# The noise process that the weights are integrated in: a variance-preserving one whose beta is linear in time and which
# has level 0.002 at time 0.001 and level 80 at time 1 (Karras et al. 2022, table 1, "VP").
_START, _LOW, _HIGH = 1e-3, 0.002, 80.0
_BETA_D = 2.0 * (math.log(_LOW**2 + 1) / _START - math.log(_HIGH**2 + 1)) / (_START - 1)
_BETA_MIN = math.log(_HIGH**2 + 1) - 0.5 * _BETA_D


def deis(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """tAB-DEIS of the third order (Zhang & Chen 2023, eq. 15): the polynomial in time through the last three
    derivatives, integrated with the process's own weight. The step to level 0 is Euler's. ``on_step`` hears the x that
    the run began with."""
    steps = len(sigmas) - 1
    begun = x
    history: list[tuple[np.float32, Array]] = []
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, begun, denoised)
        d = derivative(x, sigma, denoised)
        if history and history[0][0] == sigma:
            history.pop(0)
        history = [(sigma, d), *history[: _ORDER - 1]]
        if sigma_next <= 0 or len(history) == 1:
            x = x + (sigma_next - sigma) * d
            continue
        weights = _weights([level for level, _ in history], sigma_next)
        for weight, (_, earlier) in zip(weights, history, strict=True):
            x = x + weight * earlier
    return x


def _weights(levels: list[np.float32], level_next: np.float32) -> list[np.float32]:
    """The integral over time of each Lagrange polynomial on the times of ``levels``, times the weight, from the first
    of them to ``level_next``: a sum over 10,000 points, both ends included."""
    times = _time(np.array([*levels, level_next], np.float32))
    known, start, end = times[:-1].astype(np.float64), float(times[0]), float(times[-1])
    places = np.linspace(start, end, _POINTS)
    weight = _integrand(places) * ((end - start) / _POINTS)
    found = []
    for j, time in enumerate(known):
        values = weight.copy()
        for i, other in enumerate(known):
            if i != j:
                values *= (places - other) / (time - other)
        found.append(np.float32(values.sum()))
    return found


def _time(sigma: Array) -> Array:
    """The time of a noise level: the inverse of sigma^2 + 1 = exp(beta_d t^2 / 2 + beta_min t)."""
    root = np.sqrt(np.float32(_BETA_MIN**2) + np.float32(2 * _BETA_D) * np.log(sigma * sigma + np.float32(1)))
    return np.asarray((root - np.float32(_BETA_MIN)) / np.float32(_BETA_D), np.float32)


def _integrand(times: NDArray[np.float64]) -> NDArray[np.float64]:
    """-1/2 (d log alpha / dt) / sqrt(alpha (1 - alpha)) with log alpha = -beta_d t^2 / 2 - beta_min t: Zhang & Chen
    (2023), eq. 12, where alpha is the squared share of the latent."""
    log_alpha = -0.5 * _BETA_D * times * times - _BETA_MIN * times
    slope = -(_BETA_D * times + _BETA_MIN)
    alpha = np.exp(log_alpha)
    integrand: NDArray[np.float64] = -0.5 * slope / np.sqrt(alpha * -np.expm1(log_alpha))
    return integrand

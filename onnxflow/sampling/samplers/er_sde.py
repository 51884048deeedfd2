"""Extended reverse-time stochastic differential equations: Cui et al. (2023), arXiv:2309.06169."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import ONE, exp, log_snr, off_pure_noise

_Float64 = NDArray[np.float64]
NoiseScaler = Callable[[_Float64], _Float64]
"""phi(lambda) of the paper, which sets how much noise is put back, for lambda = sigma / alpha."""

_POINTS = 200


def extended(level: _Float64) -> _Float64:
    """phi of ER-SDE 5: Cui et al. (2023), table 1."""
    scaled: _Float64 = level * (np.exp(level**0.3) + 10.0)
    return scaled


def reverse_time(eta: float) -> NoiseScaler:
    """phi of the reverse-time equation with noise scaled by ``eta``: lambda^(eta + 1); at 0 the deterministic
    equation."""
    return lambda level: level ** (eta + 1.0)


def er_sde(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    s_noise: float = 1.0,
    noise_scaler: NoiseScaler = extended,
    max_stage: int = 3,
) -> Array:
    """ER-SDE-Solver-3: Cui et al. (2023), algorithm 3 (algorithms 1 and 2 with a lower ``max_stage``). The integrals
    are sums over 200 points."""
    steps = len(sigmas) - 1
    snr = log_snr(denoiser.model_sampling)
    sigmas = off_pure_noise(sigmas, denoiser.model_sampling)
    history: list[tuple[np.float32, Array]] = []  # levels and predictions before this one, the latest first
    slope_before: Array | None = None
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        level, level_next = exp(-snr.of(sigma)), exp(-snr.of(sigma_next))
        if level_next == level:
            continue
        alpha, alpha_next = sigma / level, sigma_next / level_next
        scale_next = _scaled(noise_scaler, level_next)
        ratio = scale_next / _scaled(noise_scaler, level)
        x = alpha_next / alpha * ratio * x + alpha_next * (ONE - ratio) * denoised
        if history and max_stage >= 2:
            dt = level_next - level
            width = -float(dt) / _POINTS
            places = np.linspace(float(level_next), float(level), _POINTS, endpoint=False)
            scaled = noise_scaler(places)
            integral = np.float32((1.0 / scaled).sum() * width)
            slope = (denoised - history[0][1]) / (level - history[0][0])
            x = x + alpha_next * (dt + integral * scale_next) * slope
            if slope_before is not None and max_stage >= 3:
                integral = np.float32(((places - float(level)) / scaled).sum() * width)
                bend = (slope - slope_before) / ((level - history[1][0]) / np.float32(2))
                x = x + alpha_next * (dt * dt / np.float32(2) + integral * scale_next) * bend
            slope_before = slope
        if s_noise > 0:
            variance = float(level_next) ** 2 - float(level) ** 2 * float(ratio) ** 2
            up = np.float32(math.sqrt(variance) if variance > 0 else 0.0)
            x = x + alpha_next * noise(sigma, sigma_next) * np.float32(s_noise) * up
        history = [(level, denoised), *history[:1]]
    return x


def _scaled(noise_scaler: NoiseScaler, level: np.float32) -> np.float32:
    return np.float32(noise_scaler(np.float64(level)))  # type: ignore[arg-type]

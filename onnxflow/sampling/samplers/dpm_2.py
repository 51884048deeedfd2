"""DPM-Solver-2 in terms of sigma: a midpoint method whose middle is the geometric mean of two levels."""

from __future__ import annotations

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import ancestral_levels, between, derivative, flow_ancestral


def dpm_2(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Karras et al. (2022), algorithm 2 without churn, with the second-order step of Lu et al. (2022) DPM-Solver,
    algorithm 1, r_1 = 1/2."""
    steps = len(sigmas) - 1
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        x = _midpoint(denoiser, x, sigma, sigma_next, denoised)
    return x


def dpm_2_ancestral(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Array:
    """As ``dpm_2`` to below the next level, then noise up to it (Song et al. 2021, eq. 16 in terms of sigma)."""
    steps = len(sigmas) - 1
    flow = denoiser.model_sampling.prediction.is_flow
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        scale = np.float32(1)
        if flow:
            step = flow_ancestral(sigma, sigma_next, np.float32(eta))
            down, scale, up = step.down, step.scale, step.up
        else:
            down, up = ancestral_levels(sigma, sigma_next, eta)
        x = _midpoint(denoiser, x, sigma, down, denoised)
        if down > 0:
            x = scale * x + noise(sigma, sigma_next) * np.float32(s_noise) * up
    return x


def _midpoint(denoiser: Denoiser, x: Array, sigma: np.float32, sigma_next: np.float32, denoised: Array) -> Array:
    """One step by the derivative in the middle; Euler's to level 0, which has no middle."""
    d = derivative(x, sigma, denoised)
    if sigma_next == 0:
        return x + d * (sigma_next - sigma)
    middle = between(sigma, sigma_next)
    x_2 = x + d * (middle - sigma)
    return x + derivative(x_2, middle, denoiser(x_2, middle)) * (sigma_next - sigma)

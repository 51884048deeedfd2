"""Samplers that go to a clean latent, or as near as DDPM does, and put new noise on it at every step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep, Resize
from onnxflow.sampling.samplers.step import ONE, derivative


def lcm(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Multistep consistency sampling: Luo et al. (2023), Latent Consistency Models, algorithm 3."""
    steps = len(sigmas) - 1
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        x = denoised
        if sigma_next > 0:
            x = denoiser.model_sampling.prediction.noise_scaling(sigma_next, noise(sigma, sigma_next), x)
    return x


def lcm_upscale(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    resize: Resize,
    scale: float = 2.0,
    scale_steps: int | None = None,
) -> Array:
    """Consistency sampling that enlarges the latent between its first steps until it is ``scale`` times as large, in
    ``scale_steps`` parts (half the steps by default)."""
    steps = len(sigmas) - 1
    count = max(len(sigmas) // 2 + 1, 2) if scale_steps is None else min(scale_steps + 1, len(sigmas) + 1)
    factors: Sequence[float] = np.linspace(1.0, scale, count)[1:].tolist()
    height, width = x.shape[2:]
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        x = denoised
        if k < len(factors):
            x = resize(x, max(round(width * factors[k]), 1), max(round(height * factors[k]), 1))
        if sigma_next > 0:
            x = x + sigma_next * noise(sigma, sigma_next, x.shape)
    return x


def ddpm(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Ancestral sampling: Ho et al. (2020), algorithm 2, between the levels of ``sigmas``: alpha_bar = 1 / (sigma^2 +
    1), variance beta-tilde (their eq. 7)."""
    steps = len(sigmas) - 1
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        bar, bar_next = ONE / (sigma * sigma + ONE), ONE / (sigma_next * sigma_next + ONE)
        alpha = bar / bar_next
        eps = derivative(x, sigma, denoised)
        x = np.sqrt(ONE / alpha) * (x / np.sqrt(ONE + sigma * sigma) - (ONE - alpha) * eps / np.sqrt(ONE - bar))
        if sigma_next > 0:
            variance = (ONE - alpha) * (ONE - bar_next) / (ONE - bar)
            x = x + (np.sqrt(variance) if variance >= 0 else np.float32(np.nan)) * noise(sigma, sigma_next)
            x = x * np.sqrt(ONE + sigma_next * sigma_next)
    return x

"""DPM-Solver++: Lu et al. (2022), arXiv:2211.01095, with alpha = 1 and lambda = -log sigma where nothing else is
said."""

from __future__ import annotations

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import (
    HALF,
    ONE,
    TWO,
    ancestral_levels,
    between,
    derivative,
    exp,
    expm1,
    flow_ancestral,
    log,
    log_snr,
)

_NEARLY_PURE_NOISE = np.float32(0.9999)


def dpmpp_2m(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """DPM-Solver++(2M): Lu et al. (2022), algorithm 2."""
    steps = len(sigmas) - 1
    previous: tuple[np.float32, Array] | None = None
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        h = log(sigma) - log(sigma_next)
        if h == 0:
            continue
        direction = denoised
        if previous is not None:
            weight = ONE / (TWO * (previous[0] / h))
            direction = (ONE + weight) * denoised - weight * previous[1]
        x = (sigma_next / sigma) * x - expm1(-h) * direction
        previous = h, denoised
    return x


def dpmpp_2m_cfg_pp(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """DPM-Solver++(2M) with CFG++ (Chung et al. 2024): the noise that stays is what the negative conditions predict."""
    steps = len(sigmas) - 1
    previous: tuple[np.float32, Array] | None = None
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised, uncond = denoiser.with_uncond(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        h = log(sigma) - log(sigma_next)
        if h == 0:
            continue
        mixed = -exp(-h) * uncond
        if previous is not None:
            mixed = mixed - expm1(-h) * (ONE / (TWO * (previous[0] / h))) * (denoised - previous[1])
        x = denoised + mixed + exp(-h) * x
        previous = h, uncond
    return x


def dpmpp_2s_ancestral(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Array:
    """DPM-Solver++(2S) (Lu et al. 2022, algorithm 1, r = 1/2) to below the next level, then noise up to it."""
    steps = len(sigmas) - 1
    flow = denoiser.model_sampling.prediction.is_flow
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if flow:
            x = _flow_step(denoiser, x, sigma, sigma_next, denoised, np.float32(eta))
            if sigma_next > 0 and eta > 0:
                step = flow_ancestral(sigma, sigma_next, np.float32(eta))
                x = step.scale * x + noise(sigma, sigma_next) * np.float32(s_noise) * step.up
            continue
        down, up = ancestral_levels(sigma, sigma_next, eta)
        if down == 0:
            x = x + derivative(x, sigma, denoised) * (down - sigma)
        else:
            h = log(sigma) - log(down)
            middle = between(sigma, down)
            x_2 = (middle / sigma) * x - expm1(-h * HALF) * denoised
            x = (down / sigma) * x - expm1(-h) * denoiser(x_2, middle)
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * np.float32(s_noise) * up
    return x


def _flow_step(
    denoiser: Denoiser, x: Array, sigma: np.float32, sigma_next: np.float32, denoised: Array, eta: np.float32
) -> Array:
    """The same step of rectified flow, whose middle is taken in log((1 - sigma) / sigma)."""
    down = flow_ancestral(sigma, sigma_next, eta).down
    if sigma_next == 0:
        return x + derivative(x, sigma, denoised) * (down - sigma)
    snr = log_snr(denoiser.model_sampling)
    start = snr.of(sigma)
    middle = _NEARLY_PURE_NOISE if sigma == 1 else snr.sigma(start + HALF * (snr.of(down) - start))
    ratio = middle / sigma
    x_2 = ratio * x + (ONE - ratio) * denoised
    ratio = down / sigma
    return ratio * x + (ONE - ratio) * denoiser(x_2, middle)


def dpmpp_2s_ancestral_cfg_pp(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Array:
    """As ``dpmpp_2s_ancestral`` with CFG++ (Chung et al. 2024): x is moved by what guidance adds to the negative
    conditions' prediction, at the second half of a step as predicted in its middle."""
    steps = len(sigmas) - 1
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised, uncond = denoiser.with_uncond(x, sigma)
        on_step(k, steps, x, denoised)
        down, up = ancestral_levels(sigma, sigma_next, eta)
        if down == 0:
            x = denoised + derivative(x, sigma, uncond) * down
        else:
            h = log(sigma) - log(down)
            middle = between(sigma, down)
            x_2 = (middle / sigma) * (x + (denoised - uncond)) - expm1(-h * HALF) * denoised
            denoised_2, uncond_2 = denoiser.with_uncond(x_2, middle)
            x = (down / sigma) * (x + (denoised - uncond_2)) - expm1(-h) * denoised_2
        if sigma_next > 0:
            x = x + noise(sigma, sigma_next) * np.float32(s_noise) * up
    return x

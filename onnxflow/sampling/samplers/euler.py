"""Euler's method and its ancestral and CFG++ kin."""

from __future__ import annotations

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import ancestral_levels, derivative, flow_ancestral, log_snr


def euler(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Karras et al. (2022), algorithm 2 without churn and without the second-order correction."""
    steps = len(sigmas) - 1
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        x = x + derivative(x, sigma, denoised) * (sigma_next - sigma)
    return x


def euler_ancestral(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Array:
    """Euler to below the next level, then noise up to it: Song et al. (2021) DDIM, eq. 12 and 16 in terms of sigma.

    A rectified-flow model keeps x = sigma noise + (1 - sigma) latent, so the latent's share is rescaled as well.
    """
    steps = len(sigmas) - 1
    flow = denoiser.model_sampling.prediction.is_flow
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
        elif flow:
            step = flow_ancestral(sigma, sigma_next, np.float32(eta))
            ratio = step.down / sigma
            x = ratio * x + (np.float32(1) - ratio) * denoised
            if eta > 0:
                x = step.scale * x + noise(sigma, sigma_next) * (np.float32(s_noise) * step.up)
        else:
            down, up = ancestral_levels(sigma, sigma_next, eta)
            if down == 0:
                x = denoised
                continue
            x = x + derivative(x, sigma, denoised) * (down - sigma)
            if eta > 0:
                x = x + noise(sigma, sigma_next) * np.float32(s_noise) * up
    return x


def euler_ancestral_cfg_pp(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Array:
    """CFG++: Chung et al. (2024), algorithm 2: the noise that is put back is what the negative conditions predict."""
    steps = len(sigmas) - 1
    snr = log_snr(denoiser.model_sampling)
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised, uncond = denoiser.with_uncond(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        alpha, alpha_next = snr.alpha(sigma), snr.alpha(sigma_next)
        d = derivative(x, sigma, alpha * uncond)
        relative = sigma / alpha if alpha > 0 else np.float32(np.inf)
        down, up = ancestral_levels(relative, sigma_next / alpha_next, eta)
        x = alpha_next * denoised + (alpha_next * down) * d
        if eta > 0 and s_noise > 0:
            x = x + alpha_next * noise(sigma, sigma_next) * np.float32(s_noise) * up
    return x


def euler_cfg_pp(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """CFG++ without noise: Chung et al. (2024), algorithm 2."""
    return euler_ancestral_cfg_pp(denoiser, x, sigmas, noise=noise, on_step=on_step, eta=0.0, s_noise=0.0)


def euler_cfg_pp_alternative(
    denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep
) -> Array:
    """Another reading of CFG++: Euler's step, whose derivative is taken at x moved from the guided prediction to that
    of the negative conditions."""
    steps = len(sigmas) - 1
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised, uncond = denoiser.with_uncond(x, sigma)
        on_step(k, steps, x, denoised)
        x = x + derivative(x - denoised + uncond, sigma, denoised) * (sigma_next - sigma)
    return x

"""Gradient estimation: Permenter & Yuan (2024), arXiv:2306.04848."""

from __future__ import annotations

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import derivative

_GAMMA = np.float32(2)


def gradient_estimation(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Permenter & Yuan (2024), algorithm 2 with gamma 2: Euler's step along gamma d + (1 - gamma) d_previous."""
    return _estimation(denoiser, x, sigmas, on_step, cfg_pp=False)


def gradient_estimation_cfg_pp(
    denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep
) -> Array:
    """``gradient_estimation`` with CFG++ (Chung et al. 2024)."""
    return _estimation(denoiser, x, sigmas, on_step, cfg_pp=True)


def _estimation(denoiser: Denoiser, x: Array, sigmas: Array, on_step: OnStep, *, cfg_pp: bool) -> Array:
    steps = len(sigmas) - 1
    previous: Array | None = None
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised, base = denoiser.with_uncond(x, sigma) if cfg_pp else (denoiser(x, sigma), None)
        on_step(k, steps, x, denoised)
        d = derivative(x, sigma, denoised if base is None else base)
        dt = sigma_next - sigma
        if sigma_next == 0:
            x = denoised
        else:
            x = x + d * dt if base is None else denoised + d * sigma_next
            if previous is not None:
                x = x + (_GAMMA - np.float32(1)) * (d - previous) * dt
        previous = d
    return x

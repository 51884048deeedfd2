"""Refined exponential solver, second-order multistep: Zhang et al. (2023), arXiv:2308.02157."""

from __future__ import annotations

import math

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import ancestral_levels, derivative


def res_multistep(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Zhang et al. (2023), section 3.2: the second-order condition solved with the prediction of the step before."""
    return _res(denoiser, x, sigmas, noise, on_step, eta=0.0, cfg_pp=False)


def res_multistep_ancestral(
    denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep
) -> Array:
    """``res_multistep`` to below the next level, then noise up to it (Song et al. 2021, eq. 16 in terms of sigma)."""
    return _res(denoiser, x, sigmas, noise, on_step, eta=1.0, cfg_pp=False)


def res_multistep_cfg_pp(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """``res_multistep`` with CFG++ (Chung et al. 2024)."""
    return _res(denoiser, x, sigmas, noise, on_step, eta=0.0, cfg_pp=True)


def res_multistep_ancestral_cfg_pp(
    denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep
) -> Array:
    """``res_multistep_ancestral`` with CFG++ (Chung et al. 2024)."""
    return _res(denoiser, x, sigmas, noise, on_step, eta=1.0, cfg_pp=True)


def _res(
    denoiser: Denoiser, x: Array, sigmas: Array, noise: NoiseSource, on_step: OnStep, *, eta: float, cfg_pp: bool
) -> Array:
    steps = len(sigmas) - 1
    previous: tuple[float, float, Array] | None = None  # level, where its step went down to, prediction
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised, uncond = denoiser.with_uncond(x, sigma) if cfg_pp else (denoiser(x, sigma), None)
        on_step(k, steps, x, denoised)
        base = denoised if uncond is None else uncond
        if sigma_next == sigma:
            continue
        down, up = ancestral_levels(sigma, sigma_next, eta)
        if down == 0 or previous is None:
            d = derivative(x, sigma, base)
            x = x + d * (down - sigma) if uncond is None else denoised + d * down
        else:
            h = math.log(float(sigma) / float(down))
            # 1 / c_2; a step that went down to 0 is infinitely long, and one of no length says nothing.
            length = math.log(previous[1] / previous[0]) if previous[1] > 0 else -math.inf
            share = h / length if length else math.nan
            phi_1 = math.expm1(-h) / -h
            phi_2 = (phi_1 - 1.0) / -h
            if uncond is not None:
                x = x + (denoised - uncond)
            newest, older = np.float32(h * (phi_1 - phi_2 * share)), np.float32(h * phi_2 * share)
            x = np.float32(math.exp(-h)) * x + (newest * base + older * previous[2])
        if sigma_next > 0 and eta > 0:
            x = x + noise(sigma, sigma_next) * up
        previous = float(sigma), float(down), base
    return x

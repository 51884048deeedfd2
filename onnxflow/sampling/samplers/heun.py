"""Heun's method."""

from __future__ import annotations

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import HALF, ONE, TWO, derivative

_THREE = np.float32(3)


def heun(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Karras et al. (2022), algorithm 2 without churn: Heun's second-order steps, the last one Euler's."""
    steps = len(sigmas) - 1
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        d = derivative(x, sigma, denoised)
        dt = sigma_next - sigma
        if sigma_next > 0:
            x_next = x + d * dt
            d = (d + derivative(x_next, sigma_next, denoiser(x_next, sigma_next))) * HALF
        x = x + d * dt
    return x


def heunpp2(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Heun++ (Xu et al. 2023, section 3): the derivatives at this and the next two levels, weighted by noise level;
    near the end those at two, then Euler's step."""
    steps = len(sigmas) - 1
    last = sigmas[-1]
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        d = derivative(x, sigma, denoised)
        dt = sigma_next - sigma
        if sigma_next != last:
            x_2 = x + d * dt
            d_2 = derivative(x_2, sigma_next, denoiser(x_2, sigma_next))
            sigma_2 = sigmas[k + 2]
            if sigma_2 == last:
                share = sigma_next / (TWO * sigmas[0])
                d = d * (ONE - share) + d_2 * share
            else:
                x_3 = x_2 + d_2 * (sigma_2 - sigma_next)
                d_3 = derivative(x_3, sigma_2, denoiser(x_3, sigma_2))
                share, share_2 = sigma_next / (_THREE * sigmas[0]), sigma_2 / (_THREE * sigmas[0])
                d = (ONE - share - share_2) * d + share * d_2 + share_2 * d_3
        x = x + d * dt
    return x

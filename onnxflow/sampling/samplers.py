"""Samplers: how a latent is walked down the noise levels. A sampler is one function and one line of ``SAMPLERS``.

Every one steps from ``sigmas[0]`` to ``sigmas[-1]`` and calls ``on_step`` once a step. Names are those of the papers:
``d`` is the derivative dx/dsigma, ``denoised`` is D(x; sigma), ``eta`` scales the noise put back at a step. All
arithmetic is float32, in the order the reference results were made in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from onnxflow.errors import InputError, did_you_mean
from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep, SamplerFunction

_ONE = np.float32(1)
_HALF = np.float32(0.5)


def euler(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Karras et al. (2022), algorithm 2 without churn and without the second-order correction."""
    steps = len(sigmas) - 1
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        x = x + _derivative(x, sigma, denoised) * (sigma_next - sigma)
    return x


def heun(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Karras et al. (2022), algorithm 2 without churn: Heun's second-order steps, the last one Euler's."""
    steps = len(sigmas) - 1
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        d = _derivative(x, sigma, denoised)
        dt = sigma_next - sigma
        if sigma_next > 0:
            x_next = x + d * dt
            d = (d + _derivative(x_next, sigma_next, denoiser(x_next, sigma_next))) * _HALF
        x = x + d * dt
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
    step = _flow_ancestral_step if denoiser.model_sampling.prediction.is_flow else _ancestral_step
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        x, sigma_up = step(x, denoised, sigma, sigma_next, np.float32(eta))
        if sigma_up is not None:
            x = x + noise(sigma, sigma_next) * np.float32(s_noise) * sigma_up
    return x


def dpmpp_2m(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """DPM-Solver++(2M): Lu et al. (2022), arXiv:2211.01095, algorithm 2, with alpha = 1 and lambda = -log sigma."""
    steps = len(sigmas) - 1
    previous: Array | None = None
    h_last = np.float32(0)
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        h = _lambda(sigma_next) - _lambda(sigma)
        direction = denoised
        if previous is not None and h_last > 0:
            weight = _ONE / (np.float32(2) * (h_last / h)) if h > 0 else np.float32(0)
            direction = (_ONE + weight) * denoised - weight * previous
        ratio = _exp(-_lambda(sigma_next)) / _exp(-_lambda(sigma))
        x = ratio * x - np.float32(math.expm1(-float(h))) * direction
        previous, h_last = denoised, h
    return x


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


@dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler function and what it needs from the run around it.

    ``fresh_mask_noise``: what a noise mask keeps is covered with noise of the next seed, not with the starting noise.
    """

    function: SamplerFunction
    fresh_mask_noise: bool = False


SAMPLERS: Mapping[str, Sampler] = MappingProxyType(
    {
        "euler": Sampler(euler),
        "euler_ancestral": Sampler(euler_ancestral),
        "heun": Sampler(heun),
        "dpmpp_2m": Sampler(dpmpp_2m),
        "lcm": Sampler(lcm),
        # Song et al. (2021) DDIM with eta 0 is Euler's method in sigma (their section 4.3).
        "ddim": Sampler(euler, fresh_mask_noise=True),
    }
)
"""The samplers there are, by name."""

# fmt: off
SAMPLER_NAMES = (
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2",
    "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm",
    "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde", "seeds_2",
    "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2",
)
# fmt: on
"""The names a KSampler node accepts, in ComfyUI's order. Those missing from ``SAMPLERS`` cannot run yet."""


def find_sampler(name: str) -> Sampler:
    """The sampler called ``name``; InputError with the nearest names and the list when there is none."""
    sampler = SAMPLERS.get(name)
    if sampler is None:
        known = name in SAMPLER_NAMES
        raise InputError(
            f"sampler {name!r} is not available yet" if known else f"unknown sampler {name!r}",
            where="sampler",
            hint=("" if known else did_you_mean(name, SAMPLERS) + " ") + f"available: {', '.join(SAMPLERS)}",
        )
    return sampler


def _derivative(x: Array, sigma: np.float32, denoised: Array) -> Array:
    """dx/dsigma of the probability flow ODE: Karras et al. (2022), algorithm 2, line 7."""
    return (x - denoised) / sigma


def _ancestral_step(
    x: Array, denoised: Array, sigma: np.float32, sigma_next: np.float32, eta: np.float32
) -> tuple[Array, np.float32 | None]:
    """The latent at sigma_down and the noise to add, sigma_up (None: draw none); their squares sum to sigma_next^2."""
    a, b = sigma * sigma, sigma_next * sigma_next
    sigma_up = min(sigma_next, eta * np.sqrt(b * (a - b) / a))
    sigma_down = np.sqrt(b - sigma_up * sigma_up)
    if sigma_down == 0:
        return denoised, None
    return x + _derivative(x, sigma, denoised) * (sigma_down - sigma), sigma_up


def _flow_ancestral_step(
    x: Array, denoised: Array, sigma: np.float32, sigma_next: np.float32, eta: np.float32
) -> tuple[Array, np.float32 | None]:
    """As ``_ancestral_step`` for rectified flow: a share of the step is overshot, then scaled and noised back."""
    sigma_down = sigma_next * (_ONE + (sigma_next / sigma - _ONE) * eta)
    alpha_next, alpha_down = _ONE - sigma_next, _ONE - sigma_down
    ratio = sigma_down / sigma
    x = ratio * x + (_ONE - ratio) * denoised
    if eta == 0:
        return x, None
    variance = sigma_next * sigma_next - sigma_down * sigma_down * (alpha_next * alpha_next) / (alpha_down * alpha_down)
    return (alpha_next / alpha_down) * x, np.sqrt(max(variance, np.float32(0)))


def _lambda(sigma: np.float32) -> np.float32:
    return -np.float32(math.log(sigma))


def _exp(value: np.float32) -> np.float32:
    return np.float32(math.exp(value))

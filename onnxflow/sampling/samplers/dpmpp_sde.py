"""DPM-Solver++ for the reverse stochastic differential equation: Lu et al. (2022), arXiv:2211.01095, section 5 and
appendix A, in lambda = log(alpha / sigma). ``eta`` scales the noise: at 0 the equation is deterministic."""

from __future__ import annotations

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import (
    HALF,
    ONE,
    TWO,
    LogSnr,
    ancestral_levels,
    exp,
    expm1,
    log,
    log_snr,
    noise_share,
    off_pure_noise,
)


def dpmpp_sde(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
    r: float = 0.5,
) -> Array:
    """DPM-Solver++ (2S) with noise at both halves of a step; ``r`` is where it is parted, in lambda."""
    steps = len(sigmas) - 1
    snr = log_snr(denoiser.model_sampling)
    sigmas = off_pure_noise(sigmas, denoiser.model_sampling)
    share = np.float32(1.0 / (2.0 * r))
    noisy = eta > 0 and s_noise > 0
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        start, end = snr.of(sigma), snr.of(sigma_next)
        middle = start + np.float32(r) * (end - start)
        level = snr.sigma(middle)
        x_2, up = _half(snr, x, denoised, sigma, level, middle, eta)
        if noisy:
            x_2 = x_2 + up * np.float32(s_noise) * noise(sigma, level)
        denoised_2 = denoiser(x_2, level)
        x, up = _half(snr, x, (ONE - share) * denoised + share * denoised_2, sigma, sigma_next, end, eta)
        if noisy:
            x = x + up * np.float32(s_noise) * noise(sigma, sigma_next)
    return x


def _half(
    snr: LogSnr, x: Array, denoised: Array, sigma: np.float32, level: np.float32, target: np.float32, eta: float
) -> tuple[Array, np.float32]:
    """``x`` at ``sigma`` brought to ``level``, whose lambda is ``target``, and the deviation of the noise to add
    there."""
    start = snr.of(sigma)
    down, up = ancestral_levels(exp(-start), exp(-target), eta)
    h = -log(down) - start
    alpha_next = snr.alpha(level)
    moved: Array = (alpha_next / snr.alpha(sigma)) * exp(-h) * x - alpha_next * expm1(-h) * denoised
    return moved, alpha_next * up


def dpmpp_2m_sde(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: str = "midpoint",
) -> Array:
    """SDE-DPM-Solver++(2M): Lu et al. (2022), algorithm 2 with eq. 18, its second-order term by the midpoint or, with
    ``solver_type`` "heun", integrated exactly."""
    steps = len(sigmas) - 1
    snr = log_snr(denoiser.model_sampling)
    sigmas = off_pure_noise(sigmas, denoiser.model_sampling)
    previous: tuple[np.float32, Array] | None = None
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        h = snr.of(sigma_next) - snr.of(sigma)
        if h == 0:
            continue
        h_eta = h * np.float32(eta + 1)
        alpha = snr.alpha(sigma_next)
        reach: np.float32 = -expm1(-h_eta)
        x = sigma_next / sigma * exp(-h * np.float32(eta)) * x + alpha * reach * denoised
        if previous is not None:
            slope = (ONE / (previous[0] / h)) * (denoised - previous[1])
            x = x + alpha * (HALF * reach if solver_type == "midpoint" else reach / -h_eta + ONE) * slope
        x = _with_noise(x, noise, sigma, sigma_next, h, eta, s_noise)
        previous = h, denoised
    return x


def dpmpp_2m_sde_heun(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """``dpmpp_2m_sde`` with the second-order term integrated exactly."""
    return dpmpp_2m_sde(denoiser, x, sigmas, noise=noise, on_step=on_step, solver_type="heun")


def dpmpp_3m_sde(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Array:
    """The third-order multistep method of the same kind, with divided differences of three predictions: Lu et al.
    (2022), appendix A, and Hochbruck & Ostermann (2010), eq. 2.10, for the phi functions."""
    steps = len(sigmas) - 1
    snr = log_snr(denoiser.model_sampling)
    sigmas = off_pure_noise(sigmas, denoiser.model_sampling)
    history: list[tuple[np.float32, Array]] = []  # step length and prediction, the latest first
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        h = snr.of(sigma_next) - snr.of(sigma)
        if h == 0:
            continue
        h_eta = h * np.float32(eta + 1)
        alpha = snr.alpha(sigma_next)
        x = sigma_next / sigma * exp(-h * np.float32(eta)) * x - alpha * expm1(-h_eta) * denoised
        if history:
            phi_2: np.float32 = expm1(-h_eta) / h_eta + ONE
            r_0: np.float32 = history[0][0] / h
            slope: Array = (denoised - history[0][1]) / r_0
            if len(history) > 1:
                r_1: np.float32 = history[1][0] / h
                earlier: Array = (history[0][1] - history[1][1]) / r_1
                bend: Array = (slope - earlier) / np.float32(r_0 + r_1)
                phi_3: np.float32 = phi_2 / h_eta - HALF
                x = x + (alpha * phi_2) * (slope + bend * r_0) - (alpha * phi_3) * bend
            else:
                x = x + (alpha * phi_2) * slope
        x = _with_noise(x, noise, sigma, sigma_next, h, eta, s_noise)
        history = [(h, denoised), *history[:1]]
    return x


def _with_noise(
    x: Array, noise: NoiseSource, sigma: np.float32, sigma_next: np.float32, h: np.float32, eta: float, s_noise: float
) -> Array:
    """``x`` with the noise that the equation adds over a step of length ``h`` in lambda."""
    if not (eta > 0 and s_noise > 0):
        return x
    return x + noise(sigma, sigma_next) * sigma_next * noise_share(-TWO * h * np.float32(eta)) * np.float32(s_noise)

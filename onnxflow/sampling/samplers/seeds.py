"""Stochastic exponential derivative-free solvers: Gonzalez et al. (2023), arXiv:2305.14267, in lambda."""

from __future__ import annotations

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import (
    ONE,
    TWO,
    LogSnr,
    exp,
    expm1,
    log_snr,
    noise_share,
    off_pure_noise,
)

_THIRD, _TWO_THIRDS = np.float32(1 / 3), np.float32(2 / 3)
_HALF = np.float32(0.5)


def seeds_2(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Array:
    """SEEDS-2: Gonzalez et al. (2023), algorithm 2 for data prediction, parted at half a step."""
    steps = len(sigmas) - 1
    snr = log_snr(denoiser.model_sampling)
    sigmas = off_pure_noise(sigmas, denoiser.model_sampling)
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        step = _Step(snr, sigma, sigma_next, (_HALF, ONE), np.float32(eta), s_noise, noise)
        x_2 = step.euler(0, x, denoised)
        denoised_2 = denoiser(x_2, step.levels[0])
        x = step.euler(1, x, denoised_2)
    return x


def seeds_3(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    eta: float = 1.0,
    s_noise: float = 1.0,
) -> Array:
    """SEEDS-3: Gonzalez et al. (2023), algorithm 3 for data prediction, parted at a third and two thirds of a step."""
    steps = len(sigmas) - 1
    snr = log_snr(denoiser.model_sampling)
    sigmas = off_pure_noise(sigmas, denoiser.model_sampling)
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        step = _Step(snr, sigma, sigma_next, (_THIRD, _TWO_THIRDS, ONE), np.float32(eta), s_noise, noise)
        if step.h == 0:
            continue
        x_2 = step.euler(0, x, denoised)
        slope = denoiser(x_2, step.levels[0]) - denoised
        x_3 = step.euler(1, x, denoised, (_TWO_THIRDS / _THIRD) * slope)
        slope = denoiser(x_3, step.levels[1]) - denoised
        x = step.euler(2, x, denoised, (ONE / _TWO_THIRDS) * slope)
    return x


class _Step:
    """One step from ``sigma`` to ``sigma_next``, parted at ``shares`` of its length ``h`` in lambda: the levels there,
    and the noise that the equation has added up to each, all of it drawn in parts."""

    def __init__(
        self,
        snr: LogSnr,
        sigma: np.float32,
        sigma_next: np.float32,
        shares: tuple[np.float32, ...],
        eta: np.float32,
        s_noise: float,
        noise: NoiseSource,
    ) -> None:
        start = snr.of(sigma)
        self.h = snr.of(sigma_next) - start
        self._snr = snr
        self._sigma = sigma
        self._eta = eta
        self._shares = shares
        self.levels = [snr.sigma(start + share * self.h) for share in shares[:-1]] + [sigma_next]
        self._noise: list[Array] = []
        if not (eta > 0 and s_noise > 0):
            return
        drawn: Array | None = None
        before, level = np.float32(0), sigma
        for share, level_next in zip(shares, self.levels, strict=True):
            decay = (share - before) * self.h * eta
            part = noise_share(-TWO * decay) * noise(level, level_next)
            drawn = part if drawn is None else exp(-decay) * drawn + part
            self._noise.append(level_next * drawn * np.float32(s_noise))
            before, level = share, level_next

    def euler(self, part: int, x: Array, denoised: Array, slope: Array | None = None) -> Array:
        """The latent at the end of a part, from the step's start: the exponential Euler step, with ``slope`` the
        second-order term phi_2 (Hochbruck & Ostermann 2010, eq. 2.10)."""
        share, level = self._shares[part], self.levels[part]
        alpha = self._snr.alpha(level)
        h_eta = share * self.h * (self._eta + ONE)
        reach = expm1(-h_eta)
        moved = level / self._sigma * exp(-share * self.h * self._eta) * x - alpha * reach * denoised
        if slope is not None:
            moved = moved + alpha * (reach / h_eta + ONE) * slope
        return moved + self._noise[part] if self._noise else moved

"""SA-Solver, stochastic Adams methods: Xue et al. (2023), arXiv:2309.05019, in lambda."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import exp, log_snr, noise_share, off_pure_noise, solved

_Float64 = NDArray[np.float64]
Tau = Callable[[np.float32], float]
"""How much noise is put back at a noise level: tau(t) of the paper."""


def tau_between(model_sampling: ModelSampling, start_percent: float, end_percent: float, eta: float) -> Tau:
    """``eta`` between two shares of the sampling, 0 outside: Xue et al. (2023), section 6.1."""
    start, end = (model_sampling.levels.percent_to_sigma(percent) for percent in (start_percent, end_percent))
    return lambda sigma: eta if eta > 0 and start >= float(sigma) >= end else 0.0


def sa_solver(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    tau: Tau | None = None,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
    use_pece: bool = False,
    simple_order_2: bool = False,
) -> Array:
    """Xue et al. (2023), algorithm 1: a predictor of ``predictor_order`` and a corrector of ``corrector_order`` that
    uses the predictor's noise again. With ``use_pece`` what is corrected is evaluated once more. ``tau`` is 1 from a
    fifth to four fifths of the sampling by default; ``simple_order_2`` takes the coefficients of the paper's appendix
    D."""
    steps = len(sigmas) - 1
    if steps < 1:
        return x
    sigmas = off_pure_noise(sigmas, denoiser.model_sampling)
    snr = log_snr(denoiser.model_sampling)
    tau = tau or tau_between(denoiser.model_sampling, 0.2, 0.8, 1.0)
    ends_at_zero = bool(sigmas[-1] == 0)
    lambdas: list[np.float32] = []  # of the predictions, the latest last
    predictions: list[Array] = []
    predicted, added = x, None
    # The level before, its lambda, and tau of the step from it.
    last: tuple[np.float32, np.float32, float] | None = None
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(predicted, sigma)
        on_step(k, steps, predicted, denoised)
        if sigma_next == sigma:
            continue
        now = snr.of(sigma)
        lambdas = [*lambdas, now][-max(predictor_order, corrector_order, 1) :]
        predictions = [*predictions, denoised][-max(predictor_order, corrector_order, 1) :]
        order = min(predictor_order, len(predictions))
        correct = min(corrector_order, len(predictions)) if last and (sigma_next != 0 or use_pece) else 0
        if ends_at_zero:  # a lower order near the end is more stable
            order = min(order, steps - 1 - k)
            correct = min(correct, steps - k)
        if last is None or correct == 0:
            x = predicted
        else:
            before, then, noisy = last
            weights = _weights(lambdas[-correct:], then, now, noisy, simple=simple_order_2, correcting=True)
            x = _moved(x, before, sigma, noisy, now - then, snr.alpha(sigma) * weights, predictions[-correct:])
            if added is not None:
                x = x + added
            if use_pece:
                denoised = denoiser(x, sigma)
                predictions[-1] = denoised
        if sigma_next == 0:
            predicted = denoised
            continue
        noisy = tau(sigma_next)
        after = snr.of(sigma_next)
        h = after - now
        weights = _weights(lambdas[-order:], now, after, noisy, simple=simple_order_2, correcting=False)
        predicted = _moved(x, sigma, sigma_next, noisy, h, snr.alpha(sigma_next) * weights, predictions[-order:])
        added = None
        if noisy > 0 and s_noise > 0:
            up = sigma_next * noise_share(np.float32(-2.0 * noisy * noisy) * h) * np.float32(s_noise)
            added = noise(sigma, sigma_next) * up
            predicted = predicted + added
        last = sigma, now, noisy
    return predicted


def sa_solver_pece(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """``sa_solver`` that evaluates what it has corrected: twice the calls."""
    return sa_solver(denoiser, x, sigmas, noise=noise, on_step=on_step, use_pece=True)


def _moved(
    x: Array,
    sigma: np.float32,
    sigma_next: np.float32,
    tau: float,
    h: np.float32,
    weights: Array,
    predictions: list[Array],
) -> Array:
    """One Adams step without its noise: Xue et al. (2023), eq. 14 and 17."""
    moved = sigma_next / sigma * exp(np.float32(-tau * tau) * h) * x
    for weight, prediction in zip(weights, predictions, strict=True):
        moved += weight * prediction
    return moved


def _weights(
    lambdas: list[np.float32], start: np.float32, end: np.float32, tau: float, *, simple: bool, correcting: bool
) -> Array:
    """The weight of each prediction, over alpha: the integral of its Lagrange polynomial times (1 + tau^2)
    exp((1 + tau^2) (lambda - end)) from ``start`` to ``end``: Xue et al. (2023), eq. 15 and 18."""
    rate = 1.0 + tau * tau
    places = np.array(lambdas, np.float64)
    first, last = float(start), float(end)
    if simple and len(places) == 2:
        whole = -float(np.expm1(-rate * (last - first)))
        if correcting:
            older = whole - 0.5 * rate * (last - first)
            return np.array([older, whole - older], np.float32)
        older = 0.5 * rate * (last - first) ** 2 / (places[0] - first)
        return np.array([older, whole - older], np.float32)
    # Centred on the end, where the powers stay small.
    moments = _moments(first - last, len(places), rate)
    powers = np.vander(places - last, len(places), increasing=True).T
    return solved(powers, moments).astype(np.float32)


def _moments(start: float, count: int, rate: float) -> _Float64:
    """The integrals of rate e^(rate u) u^p from ``start`` to 0 for p = 0 .. count - 1, by parts."""
    left = float(np.exp(rate * start))
    found = [1.0 - left]
    for p in range(1, count):
        found.append(-(start**p) * left - p / rate * found[-1])
    return np.array(found)

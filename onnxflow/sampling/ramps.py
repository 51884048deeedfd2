"""Schedules between two noise levels, or of a formula of their own: they know no model. Decreasing sigmas, float32.

Steps in float64 that end in one rounding to float32 stand for PyTorch's float32 kernels: within 2 units in the last
place of them. InputError where a formula leaves the numbers: no schedule has NaN, infinity or a 0 before its end.
"""

from __future__ import annotations

import math

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.protocols import Array

MOST_STEPS = 1_000_000

_WHERE = "schedule"
_ONE, _TWO, _HALF, _ZERO = np.float32(1), np.float32(2), np.float32(0.5), np.float32(0)

# Keeps the logarithm of the Laplace distribution's ends finite.
_LAPLACE_MARGIN = np.float32(1e-5)


def karras(steps: int, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Array:
    """Even in sigma^(1/rho) and then 0, float32 [steps + 1]: Karras et al. (2022), eq. 5.

    InputError unless both levels and ``rho`` are positive and the roots are float32 numbers.
    """
    _check_above_zero(sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    ramp = linspace(0.0, 1.0, check_steps(steps))
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        power = np.float64(1.0 / rho)
        root_low, root_high = np.float64(sigma_min) ** power, np.float64(sigma_max) ** power
        roots = np.float32(root_high) + ramp * np.float32(root_low - root_high)
        sigmas = (roots.astype(np.float64) ** float(np.float32(rho))).astype(np.float32)
    return usable(np.append(sigmas, _ZERO), f"sigma_min {sigma_min}, sigma_max {sigma_max} and rho {rho}")


def exponential(steps: int, sigma_min: float, sigma_max: float) -> Array:
    """Even in log sigma and then 0, float32 [steps + 1]; InputError unless both levels are positive."""
    _check_above_zero(sigma_min=sigma_min, sigma_max=sigma_max)
    logs = linspace(math.log(sigma_max), math.log(sigma_min), check_steps(steps))
    sigmas = np.append(np.exp(logs.astype(np.float64)).astype(np.float32), _ZERO)
    return usable(sigmas, f"sigma_min {sigma_min} and sigma_max {sigma_max}")


def polyexponential(steps: int, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Array:
    """Log sigma from the largest to the smallest along u^rho, u even from 1 to 0, and then 0: float32 [steps + 1].

    InputError unless both levels are positive and ``rho`` is 0 or more.
    """
    _check_above_zero(sigma_min=sigma_min, sigma_max=sigma_max)
    _check_not_below_zero(rho=rho)
    ramp = linspace(1.0, 0.0, check_steps(steps)).astype(np.float64) ** float(np.float32(rho))
    low, high = math.log(sigma_min), math.log(sigma_max)
    logs = ramp.astype(np.float32) * np.float32(high - low) + np.float32(low)
    sigmas = np.append(np.exp(logs.astype(np.float64)).astype(np.float32), _ZERO)
    return usable(sigmas, f"sigma_min {sigma_min}, sigma_max {sigma_max} and rho {rho}")


def laplace(steps: int, sigma_min: float, sigma_max: float, mu: float = 0.0, beta: float = 0.5) -> Array:
    """Log sigma at even quantiles of a Laplace distribution, cut to the two levels: Hang & Gu (2024), table 1.

    float32 [steps]: no 0 is appended, so that the last level is the least noise and the steps are one less.
    InputError unless both levels and ``beta`` are 0 or more.
    """
    _check_not_below_zero(sigma_min=sigma_min, sigma_max=sigma_max, beta=beta)
    middle = _HALF - linspace(0.0, 1.0, check_steps(steps))
    tail = np.log((_ONE - _TWO * np.abs(middle) + _LAPLACE_MARGIN).astype(np.float64)).astype(np.float32)
    logs = np.float32(mu) - np.float32(beta) * np.sign(middle) * tail
    with np.errstate(over="ignore", under="ignore"):
        sigmas = np.exp(logs.astype(np.float64)).astype(np.float32)
    sigmas = np.minimum(np.maximum(sigmas, np.float32(sigma_min)), np.float32(sigma_max))
    return usable(sigmas, f"sigma_min {sigma_min}, sigma_max {sigma_max}, mu {mu} and beta {beta}")


def vp(steps: int, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 0.001) -> Array:
    """The variance-preserving process at even times from 1 to ``eps_s``, and then 0: float32 [steps + 1].

    sigma(t)^2 = e^(beta_d t^2 / 2 + beta_min t) - 1: Song et al. (2021), eq. 33, as Karras et al. (2022), eq. 156,
    write it. InputError unless the numbers are 0 or more and every level is positive and within float32.
    """
    _check_not_below_zero(beta_d=beta_d, beta_min=beta_min, eps_s=eps_s)
    times = linspace(1.0, eps_s, check_steps(steps))
    with np.errstate(over="ignore", under="ignore"):
        power = np.float32(beta_d) * (times * times) / _TWO + np.float32(beta_min) * times
        sigmas = np.sqrt(np.expm1(power.astype(np.float64)).astype(np.float32))
    return usable(np.append(sigmas, _ZERO), f"beta_d {beta_d}, beta_min {beta_min} and eps_s {eps_s}")


def usable(sigmas: Array, settings: str) -> Array:
    """``sigmas``; InputError that names the ``settings`` unless all are finite and positive, the last 0 or more."""
    wrong = ~np.isfinite(sigmas) | (sigmas < 0)
    wrong[:-1] |= sigmas[:-1] == 0
    if wrong.any():
        at = int(np.argmax(wrong))
        raise InputError(
            f"{settings} make no schedule: level {at + 1} of {len(sigmas)} is {sigmas[at]}, allowed are positive"
            " numbers, and 0 at the end",
            where=_WHERE,
        )
    return sigmas


def check_steps(steps: int) -> int:
    """``steps``; InputError unless it is a whole number from 1 to a million."""
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or not 1 <= steps <= MOST_STEPS:
        raise InputError(f"steps is {steps!r}, expected a whole number from 1 to {MOST_STEPS}", where=_WHERE)
    return int(steps)


def linspace(first: float | np.float32, last: float | np.float32, count: int) -> Array:
    """torch.linspace in float32: the step is rounded, and the second half is counted back from the end."""
    low, high = np.float32(first), np.float32(last)
    if count == 1:
        return np.array([low], np.float32)
    step = np.float64((high - low) / np.float32(count - 1))
    k = np.arange(count)
    forward, backward = np.float64(low) + step * k, np.float64(high) - step * (count - 1 - k)
    return np.where(k < count // 2, forward, backward).astype(np.float32)


def _check_above_zero(**given: float) -> None:
    for name, value in given.items():
        if not 0.0 < value < math.inf:
            raise InputError(f"{name} is {value}, expected a number above 0", where=_WHERE)


def _check_not_below_zero(**given: float) -> None:
    for name, value in given.items():
        if not 0.0 <= value < math.inf:
            raise InputError(f"{name} is {value}, expected 0 or more", where=_WHERE)

"""Adams-Bashforth methods: a step by the derivatives of this and of earlier levels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import derivative

_Weights = tuple[float, ...]

# The weights of the newest derivative and those before it, at equal steps: Butcher (2016), table 241 (I).
_EQUAL_STEPS: tuple[_Weights, ...] = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


def lms(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep, order: int = 4) -> Array:
    """Linear multistep in sigma: the polynomial through the last ``order`` derivatives, integrated (Hairer, Norsett &
    Wanner 1993, section III.5, variable steps)."""
    steps = len(sigmas) - 1
    history: list[tuple[np.float32, Array]] = []
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, x, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        if history and history[0][0] == sigma:
            history.pop(0)
        history = [(sigma, derivative(x, sigma, denoised)), *history[: order - 1]]
        weights = _integrals([float(level) for level, _ in history], float(sigma), float(sigma_next))
        x = x + _sum(weights, [d for _, d in history])
    return x


def _integrals(levels: list[float], start: float, end: float) -> list[float]:
    """The integral from ``start`` to ``end`` of each Lagrange polynomial on ``levels``, by a quadrature that is exact
    for polynomials."""
    nodes, weights = np.polynomial.legendre.leggauss(len(levels) // 2 + 1)
    half = (end - start) / 2
    places = start + half * (nodes + 1)
    found = []
    for j, level in enumerate(levels):
        values = np.ones_like(places)
        for i, other in enumerate(levels):
            if i != j:
                values *= (places - other) / (level - other)
        found.append(half * float(weights @ values))
    return found


def ipndm(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """Improved pseudo numerical methods (Zhang & Chen 2023 DEIS, section 3 "iPNDM"): the weights of equal steps, of the
    fourth order once there are four derivatives. ``on_step`` hears the x that the run began with."""
    steps = len(sigmas) - 1
    begun = x
    history: list[Array] = []
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, begun, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        history = [derivative(x, sigma, denoised), *history[:3]]
        x = x + (sigma_next - sigma) * _sum(_EQUAL_STEPS[len(history) - 1], history)
    return x


def ipndm_v(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """As ``ipndm`` with weights for steps of their own lengths."""
    steps = len(sigmas) - 1
    begun = x
    history: list[tuple[np.float32, Array]] = []
    for k in range(steps):
        sigma, sigma_next = sigmas[k], sigmas[k + 1]
        denoised = denoiser(x, sigma)
        on_step(k, steps, begun, denoised)
        if sigma_next == 0:
            x = denoised
            continue
        if history and history[0][0] == sigma:
            history.pop(0)
        history = [(sigma, derivative(x, sigma, denoised)), *history[:3]]
        levels = [float(sigma_next), *(float(level) for level, _ in history)]
        lengths = [np.float64(after - before) for after, before in pairwise(levels)]
        x = x + (sigma_next - sigma) * _sum(_unequal_steps(lengths), [d for _, d in history])
    return x


def _unequal_steps(h: Sequence[float]) -> _Weights:
    """The weights for steps of lengths ``h``, the one to be made first, each as a correction of the order below. The
    second order is that of Adams and Bashforth; the third is where steps are equal; those of the fourth do not even sum
    to 1 where they are not. Pictures of this sampler are made by these weights, so they stay."""
    if len(h) == 1:
        return (1.0,)
    r = h[0] / h[1]
    second = ((2 + r) / 2, -r / 2)
    if len(h) == 2:
        return second
    two = h[0] + h[1]
    third = (1 - h[0] / (3 * two) * (h[0] * two) / (h[1] * (h[1] + h[2]))) / 2
    q = h[1] / h[2]
    if len(h) == 3:
        return second[0] + third, second[1] - (1 + q) * third, third * q
    three = two + h[2]
    fourth = (
        ((1 - h[0] / (3 * two)) / 2 + (1 - h[0] / (2 * two)) * h[0] / (6 * three))
        * (h[0] * two * three)
        / (h[1] * (h[1] + h[2]) * (h[1] + h[2] + h[3]))
    )
    p = h[1] * (h[1] + h[2]) / (h[2] * (h[2] + h[3]))
    return (
        second[0] + third + fourth,
        second[1] - (1 + q) * third - (1 + q + p) * fourth,
        third * q + (q + p * (1 + h[2] / h[3])) * fourth,
        -fourth * p * q,
    )


def _sum(weights: _Weights | list[float], arrays: list[Array]) -> Array:
    """The weighted sum of arrays."""
    total = np.float32(weights[0]) * arrays[0]
    for weight, array in zip(weights[1:], arrays[1:], strict=True):
        total += np.float32(weight) * array
    return total

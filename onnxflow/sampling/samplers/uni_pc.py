"""UniPC, a unified predictor and corrector: Zhao et al. (2023), arXiv:2302.04867, predicting data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import HALF, ONE, TWO, exp, log, solved

CLEAN = 0.001
"""The level that stands for 0, whose lambda is infinite."""

_ORDER = 3


@dataclass(frozen=True, slots=True)
class _Point:
    """A level in a variance-preserving process, x = alpha latent + std noise, with lambda = log(alpha / std).

    In float32, as the reference has it: near level 0 the rounding of 1 - alpha^2 moves the level by a few per mille,
    and the result with it.
    """

    sigma: np.float32
    alpha: np.float32
    std: np.float32
    time: np.float32


def _point(sigma: np.float32) -> _Point:
    log_alpha = HALF * log(ONE / (sigma * sigma + ONE))
    variance = ONE - exp(TWO * log_alpha)
    return _Point(sigma, exp(log_alpha), np.float32(np.sqrt(variance)), log_alpha - HALF * log(variance))


def uni_pc(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """UniPC of the third order with B(h) = h: Zhao et al. (2023), algorithms 5 and 6. ``on_step`` hears of a step when
    it is done, with x in the variance-preserving scale."""
    return _uni_pc(denoiser, x, sigmas, on_step, exponential=False)


def uni_pc_bh2(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """``uni_pc`` with B(h) = e^h - 1."""
    return _uni_pc(denoiser, x, sigmas, on_step, exponential=True)


def _uni_pc(denoiser: Denoiser, x: Array, sigmas: Array, on_step: OnStep, *, exponential: bool) -> Array:
    steps = len(sigmas) - 1
    if steps < 1:
        return x
    points = [_point(sigma if sigma > 0 else np.float32(CLEAN)) for sigma in sigmas]
    order = min(_ORDER, steps - 1)
    x = x / np.sqrt(ONE + points[0].sigma * points[0].sigma)
    history: list[tuple[_Point, Array]] = []  # the latest last

    def predicted(x: Array, point: _Point) -> Array:
        scaled = x * np.sqrt(point.sigma * point.sigma + ONE)
        eps = (scaled - denoiser(scaled, point.sigma)) / point.sigma
        clean: Array = (x - point.std * eps) / point.alpha
        return clean

    for k in range(steps):
        targets = [k] if k < steps - 1 or k == 0 else [k, k + 1]
        for target in targets:
            point = points[target]
            if target == 0:
                history.append((point, predicted(x, point)))
                continue
            used = min(order, steps + 1 - target, len(history))
            start = history[-1]
            if point.time == start[0].time:
                continue
            coefficients = _Coefficients(point, history, used, exponential=exponential)
            base = coefficients.base(x)
            x = coefficients.predicted(base)
            if target < steps:
                model = predicted(x, point)
                x = coefficients.corrected(base, model)
                history = [*history, (point, model)][-max(order, 1) :]
        on_step(k, steps, x, history[-1][1])
    return x / points[-1].alpha


class _Coefficients:
    """One step from the latest prediction to ``point``: Zhao et al. (2023), section 3.1 and theorem 3.1, with h
    negative for data prediction."""

    def __init__(self, point: _Point, history: list[tuple[_Point, Array]], order: int, *, exponential: bool) -> None:
        (start, self._model), earlier = history[-1], history[-order:-1][::-1]
        h = float(point.time) - float(start.time)
        ratios = [(float(other.time) - float(start.time)) / h for other, _ in earlier]
        self._order = order
        self._differences = [
            (model - self._model) / np.float32(ratio) for (_, model), ratio in zip(earlier, ratios, strict=True)
        ]
        self._scale = point.std / start.std
        self._alpha = float(point.alpha)
        self._reach = math.expm1(-h)
        self._b = self._reach if exponential else -h
        self._matrix = np.vander(np.array([*ratios, 1.0]), order, increasing=True).T
        right, phi, factorial = [], self._reach / -h - 1.0, 1.0
        for k in range(1, order + 1):
            right.append(phi * factorial / self._b)
            factorial *= k + 1
            phi = phi / -h - 1.0 / factorial
        self._right = np.array(right)

    def base(self, x: Array) -> Array:
        """The first-order step, which predictor and corrector share."""
        return self._scale * x - np.float32(self._alpha * self._reach) * self._model

    def predicted(self, base: Array) -> Array:
        """The predictor: Zhao et al. (2023), eq. 8."""
        if not self._differences:
            return base
        if self._order == 2:
            weights = np.array([0.5])
        else:
            weights = solved(self._matrix[:-1, :-1], self._right[:-1])
        return base - np.float32(self._alpha * self._b) * self._sum(weights)

    def corrected(self, base: Array, model: Array) -> Array:
        """The corrector, which also knows the prediction at the new level: Zhao et al. (2023), eq. 5."""
        weights = np.array([0.5]) if self._order == 1 else solved(self._matrix, self._right)
        last = np.float32(weights[-1]) * (model - self._model)
        total = self._sum(weights[:-1]) + last if self._differences else last
        return base - np.float32(self._alpha * self._b) * total

    def _sum(self, weights: NDArray[np.float64]) -> Array:
        total = np.float32(weights[0]) * self._differences[0]
        for weight, difference in zip(weights[1:], self._differences[1:], strict=True):
            total += np.float32(weight) * difference
        return total

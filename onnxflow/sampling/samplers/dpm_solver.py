"""DPM-Solver in fixed and in adaptive steps: Lu et al. (2022), arXiv:2206.00927, in t = -log sigma with alpha = 1."""

from __future__ import annotations

import math

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.protocols import Array, Denoiser, NoiseSource, OnStep
from onnxflow.sampling.samplers.step import ONE, TWO, ZERO, ancestral_levels, derivative, exp, expm1, log

_THIRD, _TWO_THIRDS = np.float32(1 / 3), np.float32(2 / 3)
_TOLERANCE_OF_THE_END = np.float32(1e-5)
_MOST_SAFE = 1.0 + math.pi / 2  # a step's factor is below this, however good it is
_WHERE = "sampler"
_MOST_REJECTED = 50  # in a row


def dpm_fast(denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
    """DPM-Solver-fast (Lu et al. 2022, appendix D.4): as many calls as ``sigmas`` has steps, in third-order steps even
    in log sigma and one or two of lower order at the end. Of ``sigmas`` only the ends count."""
    steps = len(sigmas) - 1
    if steps < 1:
        return x
    start, end = _ends(sigmas)
    count = steps // 3 + 1
    times = _even(start, end, count + 1)
    orders = [3] * (count - 2) + [2, 1] if steps % 3 == 0 else [3] * (count - 1) + [steps % 3]
    for k, order in enumerate(orders):
        step = _Step(denoiser, x, times[k])
        on_step(k, steps, x, step.denoised)
        x = step.to(times[k + 1], order)
    return x


def dpm_adaptive(
    denoiser: Denoiser,
    x: Array,
    sigmas: Array,
    *,
    noise: NoiseSource,
    on_step: OnStep,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Array:
    """DPM-Solver-12 or -23 (Lu et al. 2022, algorithm 3 and appendix C): a step is taken when two orders agree within
    ``rtol`` and ``atol``, its length controlled by PID (Soederlind 2003). Of ``sigmas`` only the ends count.

    Steps are as many as it takes; ``on_step`` hears of each when it was tried, with its result. InputError when the
    tolerances are such that no step is ever accepted.
    """
    if len(sigmas) < 2:
        return x
    steps = len(sigmas) - 1
    time, end = _ends(sigmas)
    forward = end > time
    if not forward and eta:
        raise InputError(
            f"eta is {eta}, and the noise levels rise: noise is put back only on the way down", where=_WHERE
        )
    first = abs(h_init) if forward else -abs(h_init)
    length = _Length(first, pcoeff, icoeff, dcoeff, 1.5 if eta else order, accept_safety)
    previous = x
    tried = rejected = 0
    while time < end - _TOLERANCE_OF_THE_END if forward else time > end + _TOLERANCE_OF_THE_END:
        ahead = np.float32(time + np.float32(length.h))
        if ahead == time or rejected == _MOST_REJECTED or accept_safety > _MOST_SAFE:
            raise InputError(
                f"the adaptive sampler accepts no step at sigma {exp(-time):.4g}: h_init {h_init:g}, rtol {rtol:g},"
                f" atol {atol:g}, accept_safety {accept_safety:g}",
                where=_WHERE,
                hint="the usual values are h_init 0.05, rtol 0.05, atol 0.0078 and accept_safety 0.81",
            )
        target = min(end, ahead) if forward else max(end, ahead)
        down, up = target, ZERO
        if eta:
            level = exp(-target)
            sigma_down, _ = ancestral_levels(exp(-time), level, eta)
            down = min(end, -log(sigma_down))
            up = np.float32(math.sqrt(max(float(level) ** 2 - float(exp(-down)) ** 2, 0.0)))
        step = _Step(denoiser, x, time)
        low = step.to(down, order - 1, first=_THIRD)
        high = step.to(down, order)
        if not np.isfinite(high).all():
            return high  # no shorter step mends what the network gave
        margin = np.maximum(np.float32(atol), np.float32(rtol) * np.maximum(np.abs(low), np.abs(previous)))
        error = _deviation(low - high, margin)
        if length.accepts(error):
            previous = low
            x = high if not eta else high + up * np.float32(s_noise) * noise(exp(-time), exp(-target))
            time = target
            rejected = 0
        else:
            rejected += 1
        on_step(tried, steps, x, step.denoised)
        tried += 1
    return x


class _Step:
    """What one step from ``time`` knows: the noise prediction there, and the one at the first intermediate level."""

    def __init__(self, denoiser: Denoiser, x: Array, time: np.float32) -> None:
        self._denoiser = denoiser
        self._x = x
        self._time = time
        self.denoised = denoiser(x, exp(-time))
        self._eps = derivative(x, exp(-time), self.denoised)
        self._inner: tuple[np.float32, np.float32, Array] | None = None

    def to(self, target: np.float32, order: int, *, first: np.float32 | None = None) -> Array:
        """The latent at ``target`` by a step of ``order`` 1, 2 or 3 (Lu et al. 2022, eq. 3.7, algorithms 1 and 2);
        ``first`` is r_1, 1/2 for the second and 1/3 for the third order."""
        h = target - self._time
        level = exp(-target)
        whole = expm1(h)
        euler: Array = self._x - level * whole * self._eps
        if order == 1:
            return euler
        if order == 2:
            r = first if first is not None else np.float32(0.5)
            second: Array = euler - level / (TWO * r) * whole * (self._eps_at(r, h) - self._eps)
            return second
        one = self._eps_at(_THIRD, h)
        level_2 = exp(-(self._time + _TWO_THIRDS * h))
        reach = expm1(_TWO_THIRDS * h)
        x_2 = (
            self._x
            - level_2 * reach * self._eps
            - level_2 * (_TWO_THIRDS / _THIRD) * (reach / (_TWO_THIRDS * h) - ONE) * (one - self._eps)
        )
        two = derivative(x_2, level_2, self._denoiser(x_2, level_2))
        third: Array = euler - level / _TWO_THIRDS * (whole / h - ONE) * (two - self._eps)
        return third

    def _eps_at(self, r: np.float32, h: np.float32) -> Array:
        """The noise prediction a share ``r`` of the way, after an Euler step; kept for the other order."""
        if self._inner is None or self._inner[:2] != (r, h):
            level = exp(-(self._time + r * h))
            x = self._x - level * expm1(r * h) * self._eps
            self._inner = r, h, derivative(x, level, self._denoiser(x, level))
        return self._inner[2]


class _Length:
    """The length of the steps: a proportional-integral-derivative controller of the error."""

    def __init__(self, h: float, p: float, i: float, d: float, order: float, accept_safety: float) -> None:
        self.h = h
        self._powers = ((p + i + d) / order, -(p + 2 * d) / order, d / order)
        self._accept = accept_safety
        self._inverse: list[float] = []

    def accepts(self, error: float) -> bool:
        """Whether a step with this error is good enough; the next one's length is set. None is whose error is compared
        with nothing."""
        if not math.isfinite(error):
            self.h *= 0.5
            return False
        inverse = 1.0 / (error + 1e-8)
        if not self._inverse:
            self._inverse = [inverse] * 3
        self._inverse[0] = inverse
        total = sum(power * math.log(value) for value, power in zip(self._inverse, self._powers, strict=True))
        factor = 1.0 + math.atan(math.exp(min(total, 700.0)) - 1.0)
        accepted = factor >= self._accept
        if accepted:
            self._inverse[2], self._inverse[1] = self._inverse[1], self._inverse[0]
        self.h *= factor
        return accepted


def _deviation(difference: Array, margin: Array) -> float:
    """The root mean square of the difference in units of the margin; infinite where there is no margin."""
    if not margin.all():
        return math.inf
    ratio = difference / margin
    return float(np.linalg.norm(ratio.ravel())) / math.sqrt(ratio.size)


def _ends(sigmas: Array) -> tuple[np.float32, np.float32]:
    """The times of the first and the last level that is not 0."""
    last = sigmas[-1] if sigmas[-1] > 0 else sigmas[-2]
    return -log(sigmas[0]), -log(last)


def _even(start: np.float32, end: np.float32, count: int) -> Array:
    step = (end - start) / np.float32(count - 1)
    k = np.arange(count, dtype=np.float32)
    return np.where(k < count // 2, start + step * k, end - step * (np.float32(count - 1) - k)).astype(np.float32)

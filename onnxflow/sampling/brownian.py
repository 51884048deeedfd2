"""Noise of the SDE samplers: increments of one Brownian path over the noise levels, whatever steps ask for them.

The path is a Virtual Brownian Tree (Li, Wong, Chen, Duvenaud 2020, "Scalable Gradients for Stochastic Differential
Equations", section 4): an interval's increment is split at its middle by Levy's Brownian bridge, with normals whose
seed is that of the interval, so that any increment can be had at any time and in any order without keeping a path.
Seeds, rounding and the order of operations are those of the SDE library that other tools sample with: the increments
are bit for bit the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.noise import TorchGenerator, check_seed
from onnxflow.sampling.protocols import Array

_DECIMALS = 6
_POOL_SIZE = 24
_MASK64 = (1 << 64) - 1


@dataclass(frozen=True)
class _Interval:
    """An interval of the tree: its times, and its place, which is number ``key`` from the left at ``depth``."""

    start: float
    end: float
    key: int = 0
    depth: int = 0

    @cached_property
    def middle(self) -> float:
        """Where the interval is halved."""
        return round(0.5 * (self.end + self.start), _DECIMALS)

    @property
    def left(self) -> _Interval:
        """The half before the middle."""
        return _Interval(self.start, self.middle, 2 * self.key, self.depth + 1)

    @property
    def right(self) -> _Interval:
        """The half after the middle."""
        return _Interval(self.middle, self.end, 2 * self.key + 1, self.depth + 1)


class BrownianTree:
    """A Brownian path of float32 arrays of ``shape`` over the times ``start`` < ``end``, by all 64 bits of ``seed``.

    Times count to six decimals. InputError for a bad seed and for times that are no finite numbers.
    """

    def __init__(self, start: float, end: float, shape: Sequence[int], seed: int) -> None:
        self._shape = tuple(shape)
        self._entropy = check_seed(seed) & _MASK64
        self._root = _Interval(round(_finite(start), _DECIMALS), round(_finite(end), _DECIMALS))
        self._generator = TorchGenerator(0)
        root_seed = np.random.SeedSequence(self._entropy, pool_size=_POOL_SIZE).generate_state(3)[0]
        self._total = self._normals(root_seed) * np.float32(math.sqrt(end - start))
        # Increments of left halves, by the place of the interval. Only what the latest query used is kept, two dozen
        # arrays or so: a sampler's next query has an end in common with it, and nobody comes back to older parts.
        self._halves: dict[tuple[int, int], Array] = {}
        self._used: dict[tuple[int, int], Array] = {}

    def increment(self, start: float, end: float) -> Array:
        """W(end) - W(start) for start <= end, float32; times outside the tree's are moved to its ends."""
        first, last = self._inside(start), self._inside(end)
        if first >= last:
            return np.zeros(self._shape, np.float32)
        self._used = {}
        parts = self._cover(self._root, self._total, first, last)
        total = next(parts).copy()
        for part in parts:
            total += part
        self._halves = self._used
        return total

    def _cover(self, interval: _Interval, whole: Array, start: float, end: float) -> Iterator[Array]:
        """The increments of the largest intervals that make up start..end, from left to right.

        ``whole`` is the increment of ``interval``, within which start..end lies.
        """
        if (start, end) == (interval.start, interval.end):
            yield whole
            return
        middle = interval.middle
        left = self._left(interval, whole)
        if start < middle:
            yield from self._cover(interval.left, left, start, min(end, middle))
        if end > middle:
            yield from self._cover(interval.right, whole - left, max(start, middle), end)

    def _left(self, interval: _Interval, whole: Array) -> Array:
        """The increment of the left half, given that of the interval: Levy's bridge."""
        place = (interval.key, interval.depth)
        left = self._halves.get(place)
        if left is None:
            sequence = np.random.SeedSequence(self._entropy, spawn_key=place, pool_size=_POOL_SIZE)
            left = self._normals(sequence.generate_state(4)[0])
            before, after = interval.middle - interval.start, interval.end - interval.middle
            per_length = 1 / (interval.end - interval.start)
            left *= np.float32(math.sqrt(before * after * per_length))
            left += np.float32(before) * whole * np.float32(per_length)
        self._used[place] = left
        return left

    def _normals(self, seed: np.uint32) -> Array:
        self._generator.reseed(int(seed))
        return self._generator.randn(self._shape)

    def _inside(self, time: float) -> float:
        return round(min(max(_finite(time), self._root.start), self._root.end), _DECIMALS)


class BrownianNoise:
    """A NoiseSource whose draws are the increments of one Brownian path from ``sigma_min`` to ``sigma_max``.

    The two are the least positive and the greatest noise level of the steps that are really taken; other levels are
    another path. Levels beyond them are taken as these: a step to level 0 has the increment of one to ``sigma_min``,
    over the root of its own length. Where the two are one level, all noise is zeros. InputError for a bad seed and for
    levels that are no finite numbers.
    """

    def __init__(self, shape: Sequence[int], sigma_min: np.float32, sigma_max: np.float32, seed: int) -> None:
        rises = sigma_min < sigma_max
        low, high = (sigma_min, sigma_max) if rises else (sigma_max, sigma_min)
        self._sign = 1 if rises else -1
        self._tree = BrownianTree(float(low), float(high), shape, seed)
        self._shape = tuple(shape)

    def __call__(self, sigma: np.float32, sigma_next: np.float32, shape: Sequence[int] | None = None) -> Array:
        """The increment over the root of the step's length, negative where the level falls: float32 of the shape.

        Zeros for a step that is empty or shorter than the six decimals to which levels count. The square root is the
        IEEE one; PyTorch's is a unit in the last place off for some lengths, and its noise with it.
        """
        if shape is not None and tuple(shape) != self._shape:
            raise InputError(f"the path is of shape {list(self._shape)}, not {list(shape)}", where="noise")
        rises = sigma < sigma_next
        low, high = (sigma, sigma_next) if rises else (sigma_next, sigma)
        noise = self._tree.increment(float(low), float(high))
        if high > low:
            noise *= np.float32(self._sign if rises else -self._sign)
            noise /= np.sqrt(high - low)
        return noise


def _finite(time: float) -> float:
    if not math.isfinite(time):
        raise InputError(f"a noise level is {time}, expected a finite number", where="noise")
    return time

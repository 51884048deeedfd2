"""Noise drawn as PyTorch's CPU generator draws it, so that a seed means the same picture as in other tools.

The generator is MT19937 (Matsumoto & Nishimura 1998) seeded with the low 32 bits of the seed. Draws of 16 values or
more use 24-bit uniforms and the float32 Box-Muller of ``box_muller``: bit for bit the same on every machine. Draws of
fewer than 16 values use 53-bit uniforms and the C library's log1p, sin and cos in double precision before rounding to
float32, as PyTorch does: a C library that differs in the last bit could change about one such value in 2^28.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError
from onnxflow.sampling.box_muller import BLOCK, CHUNK, Work, box_muller
from onnxflow.sampling.protocols import Array
from onnxflow.values import SeedRule

_SEED_BITS = (1 << 64) - 1
_UNIFORM53 = 2.0**-53
_MASK53 = (1 << 53) - 1


def check_seed(seed: int) -> int:
    """``seed`` as an int in -2^63 .. 2^64-1; InputError otherwise."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise InputError(f"seed is {seed!r}, expected an integer", where="noise")
    if not -(1 << 63) <= seed <= _SEED_BITS:
        raise InputError(f"seed {seed} is out of range, allowed: -2^63 to 2^64-1", where="noise")
    return int(seed)


class TorchGenerator:
    """``torch.Generator("cpu").manual_seed(seed)``: draws continue one stream; only the seed's low 32 bits count.

    A generator is for one thread at a time: it keeps the arrays it computes in.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.MT19937()
        # RandomState is the one public way to numpy's init_genrand, MT19937's original seeding; its streams are frozen.
        self._random = np.random.RandomState(self._bits)
        self._work = Work(0)
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        """Start the stream of ``seed``, as a new generator would."""
        self._random.seed(check_seed(seed) & 0xFFFFFFFF)
        self._spare: float | None = None

    def randn(self, shape: Sequence[int]) -> Array:
        """Standard normals, float32 of ``shape``: ``torch.randn(shape, generator=self)``."""
        count = math.prod(shape)
        if count < BLOCK:
            return np.array([self._small() for _ in range(count)], np.float64).astype(np.float32).reshape(shape)
        if self._work.count < min(count, CHUNK):
            self._work = Work(min(count, CHUNK))
        values = np.empty(count, np.float32)
        rest = count % BLOCK
        for start in range(0, count - rest, CHUNK):
            part = values[start : min(start + CHUNK, count - rest)]
            box_muller(self._uniforms(len(part)), part, self._work)
        if rest:
            # PyTorch draws uniforms for the rest too, then a further block over the last 16 places.
            self._uniforms(rest)
            box_muller(self._uniforms(BLOCK), values[-BLOCK:], self._work)
        return values.reshape(shape)

    def skip(self, shape: Sequence[int]) -> None:
        """Move on as ``randn(shape)`` would, without computing the values."""
        count = math.prod(shape)
        if count < BLOCK:
            self.randn(shape)
        else:
            self._bits.random_raw(count + (BLOCK if count % BLOCK else 0), output=False)

    def _uniforms(self, count: int) -> NDArray[np.uint32]:
        """24-bit integers: for a power of two, randint takes the low bits of one 32-bit word each."""
        return self._random.randint(0, 1 << 24, count, np.uint32)

    def _small(self) -> float:
        """One normal in double precision; every second one was computed with the one before and kept."""
        if self._spare is not None:
            value, self._spare = self._spare, None
            return value
        a, b, c, d = (int(word) for word in self._bits.random_raw(4))
        u1 = (((a << 32) | b) & _MASK53) * _UNIFORM53
        u2 = (((c << 32) | d) & _MASK53) * _UNIFORM53
        radius = math.sqrt(-2.0 * math.log1p(-u2))
        angle = 2.0 * math.pi * u1
        self._spare = radius * math.sin(angle)
        return radius * math.cos(angle)


class SeededNoise:
    """A NoiseSource that draws each step's noise from one generator, whatever the noise levels are."""

    def __init__(self, seed: int, shape: Sequence[int], *, drawn: Sequence[Sequence[int]] = ()) -> None:
        """``drawn`` are the shapes of what others have drawn of the seed before."""
        self._generator = TorchGenerator(seed)
        for before in drawn:
            self._generator.skip(before)
        self._shape = tuple(shape)

    def __call__(self, sigma: np.float32, sigma_next: np.float32, shape: Sequence[int] | None = None) -> Array:
        """The next standard normals of the stream, float32 of the latent's shape or of ``shape``."""
        return self._generator.randn(self._shape if shape is None else shape)


def prepare_noise(shape: Sequence[int], seed: int, batch_index: Sequence[int] | None = None) -> Array:
    """The starting noise, float32 of ``shape`` [b,c,h,w]; sample i is the ``batch_index[i]``-th draw of one sample.

    Without ``batch_index`` the whole batch is one draw. InputError for a bad seed or a bad index.
    """
    generator = TorchGenerator(seed)
    if batch_index is None:
        return generator.randn(shape)
    wanted = [int(i) for i in batch_index]
    if len(wanted) != shape[0] or min(wanted) < 0:
        raise InputError(f"batch_index is {wanted}, expected {shape[0]} indices of 0 or more", where="noise")
    one = (1, *shape[1:])
    draws: dict[int, Array] = {}
    used = set(wanted)
    for i in range(max(used) + 1):
        if i in used:
            draws[i] = generator.randn(one)
        else:
            generator.skip(one)
    return np.concatenate([draws[i] for i in wanted], axis=0)


def next_seed(seed: int, rule: SeedRule = "next") -> int:
    """The seed of the noise added during sampling, by ``rule``; 2^64-1 is followed by 0."""
    return (check_seed(seed) + 1) & _SEED_BITS if rule == "next" else check_seed(seed)

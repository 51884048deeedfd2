"""Operations on latents whose cells, vectors of their channels, have a direction and a length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.protocols import Array

_TINY = np.float32(1e-10)
_SMALL = np.float32(1e-6)
_TEN = np.float32(10)
_DEVIATIONS = np.float32(5)


class LatentOperation(Protocol):
    """What is done to a latent [b,c,h,w]."""

    SOCKET: ClassVar[str] = "LATENT_OPERATION"

    def apply(self, latent: Array) -> Array:
        """A new latent of the same shape."""
        ...


@dataclass(frozen=True, slots=True)
class Tonemap(LatentOperation):
    """Lengths L become L / (1 + L / t), where t is ``multiplier`` times their mean and five standard deviations:
    Reinhard et al. 2002, "Photographic Tone Reproduction for Digital Images", equation 3."""

    multiplier: float

    def apply(self, latent: Array) -> Array:
        length = _length(latent) + _TINY
        mean = length.mean(axis=(1, 2, 3), keepdims=True)
        deviation = (
            length.std(axis=(1, 2, 3), ddof=1, keepdims=True) if length.size > len(length) else np.zeros_like(mean)
        )
        top = (deviation * _DEVIATIONS + mean) * np.float32(self.multiplier)
        with np.errstate(divide="ignore", invalid="ignore"):  # with multiplier 0 nothing is left, as it should
            scaled = length / top
            lengths = np.where(top > 0, scaled / (scaled + np.float32(1)) * top, np.float32(0))
        found: Array = latent / length * lengths
        return found


@dataclass(frozen=True, slots=True)
class Sharpen(LatentOperation):
    """Directions sharpened by a Gaussian over ``radius`` cells a side, whose width is in units of the radius: ten times
    ``alpha`` of what it takes away is added, and the result is as long as it comes times the old length."""

    radius: int
    sigma: float
    alpha: float

    def apply(self, latent: Array) -> Array:
        height, width = latent.shape[2:]
        if self.radius >= min(height, width):
            raise InputError(
                f"a radius of {self.radius} is too large for latents of {width}x{height} cells: it must be below the"
                " shorter side",
                hint=f"use a radius of {min(height, width) - 1} or less",
            )
        length = _length(latent) + _SMALL
        places = np.linspace(-1, 1, 2 * self.radius + 1)
        kernel = np.exp(-(places**2) / (2 * self.sigma**2))
        weights = (kernel / kernel.sum()).astype(np.float32)
        direction = latent / length
        soft = _weighed(_weighed(direction, weights, axis=2), weights, axis=3)
        found: Array = length * (direction + (direction - soft) * (np.float32(self.alpha) * _TEN))
        return found


def _length(latent: Array) -> Array:
    """The length of each cell's vector, [b,1,h,w]."""
    found: Array = np.sqrt((latent * latent).sum(axis=1, keepdims=True))
    return found


def _weighed(values: Array, weights: Array, axis: int) -> Array:
    """The weighted sum of the neighbours along an axis, reflected at its ends."""
    radius = len(weights) // 2
    around = [(0, 0)] * values.ndim
    around[axis] = (radius, radius)
    padded = np.moveaxis(np.pad(values, around, mode="reflect"), axis, 0)
    count = values.shape[axis]
    total = np.zeros_like(padded[:count])
    for k, weight in enumerate(weights):
        total += padded[k : k + count] * weight
    return np.moveaxis(total, 0, axis)

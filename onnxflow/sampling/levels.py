"""The noise levels a network was trained on: between noise level (sigma), timestep and percentage of the sampling.

Scalars are np.float32, so that the arithmetic is that of float32 tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from onnxflow.sampling.protocols import Array

_ONE = np.float32(1)

# What "before the first step" is, for a condition's start: above every noise level.
ABOVE_ALL_SIGMAS = 999999999.9


class NoiseLevels(Protocol):
    """The noise levels of a trained model, from least to most noise."""

    @property
    def sigmas(self) -> Array:
        """The noise level of each training timestep, increasing, float32 [timesteps]."""
        ...

    def timestep(self, sigma: np.float32) -> np.float32:
        """The timestep the network is told at noise level ``sigma``."""
        ...

    def sigma(self, timestep: np.float32) -> np.float32:
        """The noise level at a timestep, which need not be whole."""
        ...

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level after a share (0..1) of the sampling; 0 is before the first step, 1 after the last."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class DiscreteLevels:
    """Noise levels of a DDPM: a table by whole timesteps, interpolated in log sigma between them."""

    sigmas: Array
    log_sigmas: Array

    def timestep(self, sigma: np.float32) -> np.float32:
        """The whole timestep whose log sigma is nearest."""
        log_sigma = np.float32(np.log(np.float64(sigma)))
        return np.float32(np.abs(log_sigma - self.log_sigmas).argmin())

    def sigma(self, timestep: np.float32) -> np.float32:
        """The noise level at ``timestep``, clamped to the table."""
        last = len(self.sigmas) - 1
        t = np.float32(min(max(float(timestep), 0.0), float(last)))
        low = int(t)
        high = min(low + 1, last)
        weight = np.float32(t - np.float32(low))
        log_sigma = (_ONE - weight) * self.log_sigmas[low] + weight * self.log_sigmas[high]
        return np.float32(np.exp(np.float64(log_sigma)))

    def percent_to_sigma(self, percent: float) -> float:
        """Timesteps run down evenly: percent p is timestep (1 - p) (timesteps - 1)."""
        if percent <= 0.0:
            return ABOVE_ALL_SIGMAS
        if percent >= 1.0:
            return 0.0
        return float(self.sigma(np.float32((1.0 - percent) * (len(self.sigmas) - 1))))


@dataclass(frozen=True, slots=True, eq=False)
class FlowLevels:
    """Noise levels of rectified flow: time in (0, 1] shifted towards noise, Esser et al. (2024), eq. 23."""

    sigmas: Array
    shift: float
    multiplier: float = 1000.0

    def timestep(self, sigma: np.float32) -> np.float32:
        """The network is told the noise level itself, times the multiplier."""
        return np.float32(sigma) * np.float32(self.multiplier)

    def sigma(self, timestep: np.float32) -> np.float32:
        """The noise level at ``timestep`` (0..multiplier before the shift)."""
        t = np.float32(timestep) / np.float32(self.multiplier)
        if self.shift == 1.0:
            return t
        shift = np.float32(self.shift)
        return shift * t / (_ONE + (shift - _ONE) * t)

    def percent_to_sigma(self, percent: float) -> float:
        """Time runs down evenly: percent p is the shifted time 1 - p."""
        if percent <= 0.0:
            return 1.0
        if percent >= 1.0:
            return 0.0
        t = 1.0 - percent
        return t if self.shift == 1.0 else self.shift * t / (1.0 + (self.shift - 1.0) * t)

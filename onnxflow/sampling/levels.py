"""The noise levels a network was trained on: between noise level (sigma), timestep and percentage of the sampling.

Scalars are np.float32, so that the arithmetic is that of float32 tensors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from onnxflow.sampling.protocols import Array

_ONE, _QUARTER, _TWO, _PI = np.float32(1), np.float32(0.25), np.float32(2), np.float32(math.pi)

# A share of the sampling is counted in these timesteps, however many levels a table has.
_LAST_TIMESTEP = 999

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
    """Noise levels of a DDPM: a table by whole timesteps, interpolated in log sigma between them.

    A distilled network knows only every ``spacing``-th timestep, the last of each group: number k is timestep
    k spacing + spacing - 1.
    """

    sigmas: Array
    log_sigmas: Array
    spacing: int = 1

    def timestep(self, sigma: np.float32) -> np.float32:
        """The whole timestep whose log sigma is nearest."""
        log_sigma = np.float32(np.log(np.float64(sigma)))
        nearest = int(np.abs(log_sigma - self.log_sigmas).argmin())
        return np.float32(nearest * self.spacing + self.spacing - 1)

    def sigma(self, timestep: np.float32) -> np.float32:
        """The noise level at ``timestep``, clamped to the table."""
        last = len(self.sigmas) - 1
        place = (np.float32(timestep) - np.float32(self.spacing - 1)) / np.float32(self.spacing)
        t = np.float32(min(max(float(place), 0.0), float(last)))
        low = int(t)
        high = min(low + 1, last)
        weight = np.float32(t - np.float32(low))
        log_sigma = (_ONE - weight) * self.log_sigmas[low] + weight * self.log_sigmas[high]
        return np.float32(np.exp(np.float64(log_sigma)))

    def percent_to_sigma(self, percent: float) -> float:
        """Timesteps run down evenly: percent p is timestep 999 (1 - p)."""
        if percent <= 0.0:
            return ABOVE_ALL_SIGMAS
        if percent >= 1.0:
            return 0.0
        return float(self.sigma(np.float32((1.0 - percent) * _LAST_TIMESTEP)))


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


@dataclass(frozen=True, slots=True, eq=False)
class FluxLevels:
    """Noise levels of rectified flow whose time is shifted by a factor e^mu: Esser et al. (2024), eq. 23."""

    sigmas: Array
    mu: float

    def timestep(self, sigma: np.float32) -> np.float32:
        """The network is told the noise level itself."""
        return np.float32(sigma)

    def sigma(self, timestep: np.float32) -> np.float32:
        """The noise level at time ``timestep`` in (0, 1] before the shift."""
        factor = np.float32(math.exp(self.mu))
        return factor / (factor + (_ONE / np.float32(timestep) - _ONE))

    def percent_to_sigma(self, percent: float) -> float:
        """Time runs down evenly: percent p is the shifted time 1 - p."""
        if percent <= 0.0:
            return 1.0
        if percent >= 1.0:
            return 0.0
        factor = math.exp(self.mu)
        return factor / (factor + (1.0 / (1.0 - percent) - 1.0))


@dataclass(frozen=True, slots=True, eq=False)
class EdmLevels:
    """Any noise level between two ends; the table is even in log sigma. Karras et al. (2022), table 1, EDM."""

    sigmas: Array

    def timestep(self, sigma: np.float32) -> np.float32:
        """c_noise = log(sigma) / 4."""
        return _QUARTER * np.float32(np.log(np.float64(sigma)))

    def sigma(self, timestep: np.float32) -> np.float32:
        """e^(4 t); infinity where that is beyond float32."""
        with np.errstate(over="ignore"):
            return np.float32(np.exp(np.float64(np.float32(timestep) / _QUARTER)))

    def percent_to_sigma(self, percent: float) -> float:
        """The logarithm runs down evenly, from the largest level to the smallest."""
        if percent <= 0.0:
            return ABOVE_ALL_SIGMAS
        if percent >= 1.0:
            return 0.0
        low, high = math.log(float(self.sigmas[0])), math.log(float(self.sigmas[-1]))
        return math.exp((high - low) * (1.0 - percent) + low)


@dataclass(frozen=True, slots=True, eq=False)
class AngleLevels(EdmLevels):
    """Any noise level between two ends, told as the angle of noise and signal: Salimans & Ho (2022), app. D."""

    def timestep(self, sigma: np.float32) -> np.float32:
        """arctan(sigma) as a share of the right angle."""
        return np.float32(np.arctan(np.float64(sigma))) / _PI * _TWO

    def sigma(self, timestep: np.float32) -> np.float32:
        """The tangent of ``timestep`` right angles."""
        return np.float32(np.tan(np.float64(np.float32(timestep) * _PI / _TWO)))


@dataclass(frozen=True, slots=True, eq=False)
class CosmosLevels(EdmLevels):
    """Any noise level between two ends, told as rectified flow's time sigma / (sigma + 1): NVIDIA (2025), Cosmos."""

    def timestep(self, sigma: np.float32) -> np.float32:
        """The share of noise in the network's input."""
        return np.float32(sigma) / (np.float32(sigma) + _ONE)

    def sigma(self, timestep: np.float32) -> np.float32:
        """t / (1 - t), the largest level at most."""
        t, largest = np.float32(timestep), np.float32(self.sigmas[-1])
        return largest if t >= self.timestep(largest) else t / (_ONE - t)

"""Axes: round numbers to mark, and how they are written."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Axis:
    """Values from ``low`` to ``high`` along ``length`` pixels from ``start`` on (a negative length runs upwards);
    ``log`` spaces them by their logarithm."""

    low: float
    high: float
    start: float
    length: float
    log: bool = False

    def at(self, value: float) -> float:
        """The pixel of a value; one beyond an end is at that end."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        share = (self._scaled(min(max(value, self.low), self.high)) - low) / ((high - low) or 1.0)
        return self.start + share * self.length

    def ticks(self, most: int = 6) -> list[float]:
        """Round values inside the axis, about ``most``."""
        return log_ticks(self.low, self.high, most) if self.log else ticks(self.low, self.high, most)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most ``most`` multiples of 1, 2 or 5 times a power of ten from ``low`` to ``high``."""
    if not high > low:
        return [low]
    raw = (high - low) / max(most - 1, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(np.float64(f"{k * step:.12g}")) for k in range(first, last + 1)]


def whole_ticks(count: int, most: int = 12) -> list[int]:
    """Some of the numbers 0..count-1, in round steps."""
    return [int(value) for value in ticks(0, max(count - 1, 0), most) if value == int(value)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Powers of ten from ``low`` to ``high`` (above 0), with 2 and 5 times them where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [
            float(f"{factor}e{power}")
            for power in range(first, last + 1)
            for factor in factors
            if low * (1 - 1e-6) <= factor * 10.0**power <= high * (1 + 1e-6)
        ]
        if len(found) <= 2 * most:
            return found
    return found[:: math.ceil(len(found) / most)]


def written(value: float) -> str:
    """A value as a tick's label."""
    return f"{value:.6g}"

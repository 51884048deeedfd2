"""Arrays in a few numbers, and any value as JSON that every reader takes: without NaN and infinity."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DIGITS: Final = 7
"""Significant digits of numbers in JSON; .npz files have all."""


def short(value: float) -> float | str:
    """``value`` to 7 significant digits; a text for NaN and infinity, which JSON does not have."""
    value = float(value)
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else str(value)


def shorts(values: NDArray[Any]) -> list[float | str]:
    """The numbers of a row."""
    return [short(value) for value in values.ravel().tolist()]


def statistics(array: NDArray[Any]) -> dict[str, Any]:
    """Least, largest, mean and standard deviation of the finite values, and how many are not, if any."""
    if array.dtype == bool:
        array = array.astype(np.uint8)
    fine = np.isfinite(array)
    finite = array if fine.all() else array[fine]
    found: dict[str, Any] = {}
    if finite.size:
        found = {
            "min": short(finite.min()),
            "max": short(finite.max()),
            "mean": short(finite.mean(dtype=np.float64)),
            "std": short(finite.std(dtype=np.float64)),
        }
    nan = int(np.isnan(array).sum()) if finite.size != array.size else 0
    infinite = array.size - finite.size - nan
    return found | ({"nan": nan} if nan else {}) | ({"infinite": infinite} if infinite else {})

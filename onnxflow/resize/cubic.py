"""Bicubic interpolation without antialiasing: four old pixels an axis, so results may overshoot.

Cubic convolution, Keys 1981, "Cubic convolution interpolation for digital image processing", equation 4 before a is
chosen, with a = -0.75 instead of his -0.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from onnxflow.resize.taps import Taps, centres

A = -0.75


def taps(old: int, new: int) -> Taps:
    """The four neighbours of each new centre; beyond the edge the outermost pixel is repeated."""
    at = centres(old, new)
    low = np.floor(at)
    places = np.stack([low - 1, low, low + 1, low + 2]).astype(np.intp)
    share = (at - low).astype(np.float64)  # so that the weights add up to 1; they are rounded once, at the end
    weights = np.stack([_far(share + 1), _near(share), _near(1 - share), _far(2 - share)])
    return Taps(np.clip(places, 0, old - 1), weights.astype(np.float32))


def _near(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The kernel for distances of 0 to 1."""
    found: NDArray[np.float64] = ((A + 2) * x - (A + 3)) * x * x + 1
    return found


def _far(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The kernel for distances of 1 to 2."""
    found: NDArray[np.float64] = ((A * x - 5 * A) * x + 8 * A) * x - 4 * A
    return found

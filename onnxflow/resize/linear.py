"""Bilinear interpolation without antialiasing: two old pixels an axis, however much smaller the new size is."""

from __future__ import annotations

import numpy as np

from onnxflow.resize.taps import Taps, centres


def taps(old: int, new: int) -> Taps:
    """The two neighbours of each new centre, weighted by their nearness; beyond the outermost centre it is flat."""
    at = np.maximum(centres(old, new), np.float32(0))
    low = np.minimum(at.astype(np.intp), old - 1)
    high = np.minimum(low + 1, old - 1)
    share = (at - low).astype(np.float32)
    return Taps(np.stack([low, high]), np.stack([np.float32(1) - share, share]))

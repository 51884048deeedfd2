"""Averages over areas: each new pixel is the mean of all old pixels that it touches, each counted whole.

This is adaptive average pooling: the new place j covers the old ones from floor(j * old / new) to before
ceil((j + 1) * old / new). Enlarging repeats pixels, and averages two where a new one lies across a border.
"""

from __future__ import annotations

import numpy as np

from onnxflow.resize.taps import Taps

# Sums of more pixels than this, of an axis, are made in float64: in float32 the error would be seen.
WIDE = 64


def taps(old: int, new: int) -> Taps:
    """As many taps as the widest window has pixels."""
    index = np.arange(new)
    start = index * old // new
    count = -(-(index + 1) * old // new) - start
    number = np.arange(count.max())[:, np.newaxis]
    # A narrower window reads its last pixel again, for nothing: so a NaN beside it stays where it is.
    places = start + np.minimum(number, count - 1)
    weights = np.where(number < count, 1 / count, 0.0)
    return Taps(places, weights.astype(np.float64 if len(number) > WIDE else np.float32))

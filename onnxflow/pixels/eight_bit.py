"""Pictures as files hold them, in whole numbers from 0 to 255, and as nodes do, in 0..1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 32_768
"""Numbers to work on at once, which the cache holds."""


def to_unit(values: NDArray[np.uint8], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """0..255 as 0..1, in the same shape; in ``out`` if that is given."""
    found: NDArray[np.float32] = np.divide(values, np.float32(255), out=out, dtype=np.float32)
    return found


def to_bytes(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """0..1 as 0..255 by cutting off, not rounding, as ComfyUI writes files; values beyond are clipped."""
    found = np.empty(pixels.shape, np.uint8)
    step = max(1, _BLOCK * len(pixels) // max(1, pixels.size))
    for start in range(0, len(pixels), step):
        scaled = pixels[start : start + step] * np.float32(255)
        np.clip(scaled, 0, 255, out=scaled)
        found[start : start + step] = scaled
    return found

"""Numbers as colours: blue below 0 over white to red above it, grey, and magenta for what is no number."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

NOT_A_NUMBER: Final = (255, 0, 255)

# Evenly spaced stops from -1 to 1; the ends are as dark as each other, so that size is darkness and sign is colour.
_STOPS: Final = np.array(
    [(8, 48, 107), (46, 118, 180), (150, 196, 222), (247, 247, 247), (244, 165, 130), (202, 66, 60), (103, 0, 31)],
    np.float32,
)


def diverging(values: NDArray[np.float32], limit: float) -> NDArray[np.uint8]:
    """Colours [...,3] of ``values``: white at 0, darkest at ``limit`` and beyond, on either side."""
    share = _share(values, -limit, limit)
    at = np.linspace(0, 1, len(_STOPS), dtype=np.float32)
    colours = np.stack([np.interp(share, at, _STOPS[:, channel]) for channel in range(3)], axis=-1)
    return _marked(np.rint(colours).astype(np.uint8), values)


def grey(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.uint8]:
    """Greys [...,3] of ``values``: black at ``low`` and below, white at ``high`` and above."""
    shade = np.rint(_share(values, low, high) * 255).astype(np.uint8)
    return _marked(np.repeat(shade[..., None], 3, axis=-1), values)


def _share(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float64]:
    """Where ``values`` are between two ends, in 0..1; NaN is 0."""
    wide = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    share: NDArray[np.float64] = np.clip((wide - low) / max(high - low, 1e-300), 0, 1)
    return share


def _marked(colours: NDArray[np.uint8], values: NDArray[np.float32]) -> NDArray[np.uint8]:
    colours[np.isnan(values)] = NOT_A_NUMBER
    return colours

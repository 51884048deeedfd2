"""Pictures and masks of 2048 x 2048 to work on, the same in every run."""

from __future__ import annotations

from functools import cache

import numpy as np

from onnxflow.values import Array

SIDE = 2048


@cache
def image(seed: int = 0, side: int = SIDE, channels: int = 3) -> Array:
    """A picture [1, side, side, channels] in 0..1: smooth, with some noise."""
    draws = np.random.default_rng(seed)
    row = np.linspace(0, 6, side, dtype=np.float32)
    smooth = (np.sin(row[:, np.newaxis] + row * np.float32(1 + seed)) + 1) / 2
    noise = draws.random((1, side, side, channels), np.float32)
    found: Array = np.float32(0.8) * smooth[np.newaxis, :, :, np.newaxis] + np.float32(0.2) * noise
    found.flags.writeable = False
    return found


@cache
def mask(seed: int = 0, side: int = SIDE) -> Array:
    """A mask [1, side, side]: a soft disc."""
    axis = np.linspace(-1, 1, side, dtype=np.float32) + np.float32(0.1 * seed)
    found: Array = np.clip(np.float32(4) * (np.float32(0.8) - np.hypot(axis[:, np.newaxis], axis)), 0, 1)[np.newaxis]
    found.flags.writeable = False
    return found

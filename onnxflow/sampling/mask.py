"""Noise masks brought to the size of a latent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.protocols import Array


def latent_mask(mask: Array, shape: Sequence[int]) -> Array:
    """``mask`` [n,h,w] or [n,1,h,w] as float32 [b,1,h',w'] for a latent of ``shape`` [b,c,h',w'].

    Another size is resampled bilinearly (pixel centres at half coordinates, no antialiasing); another count is repeated
    and cut to the batch. InputError for another rank, an empty mask or a value that is not a number.
    """
    mask = np.asarray(mask, np.float32)
    if mask.ndim not in (3, 4) or mask.size == 0:
        raise InputError(
            f"a noise mask has shape {list(mask.shape)}, expected [batch, height, width]", where="noise mask"
        )
    if not np.isfinite(mask).all():
        raise InputError("the noise mask contains NaN or infinity", where="noise mask")
    mask = mask.reshape(-1, 1, *mask.shape[-2:])
    batch, _, height, width = shape
    mask = _resample(_resample(mask, height, axis=2), width, axis=3)
    if len(mask) != batch:
        mask = np.take(mask, np.arange(batch) % len(mask), axis=0)
    return mask


def _resample(values: Array, size: int, axis: int) -> Array:
    """Linear interpolation along one axis."""
    old = values.shape[axis]
    if old == size:
        return values
    # float64 and one rounding: PyTorch fuses this multiply-add of float32.
    centres = (np.arange(size) + 0.5) * float(np.float32(old / size)) - 0.5
    place = np.maximum(centres, 0.0).astype(np.float32)
    low = np.minimum(place.astype(np.intp), old - 1)
    high = np.minimum(low + 1, old - 1)
    along = [1] * values.ndim
    along[axis] = size
    weight = (place - low).astype(np.float32).reshape(along)
    mixed: Array = np.take(values, low, axis) * (np.float32(1) - weight) + np.take(values, high, axis) * weight
    return mixed

"""Pictures, masks and batches brought to the size, the channels and the number of others."""

from __future__ import annotations

import numpy as np

from onnxflow.errors import InputError
from onnxflow.pixels.arrays import Array
from onnxflow.resize import resize


def resized(pictures: Array, height: int, width: int, method: str, crop: str = "disabled") -> Array:
    """``pictures`` [b,h,w,c] at another size; those that have it stay as they are."""
    if pictures.shape[1:3] == (height, width) and method != "lanczos":
        return pictures
    return resize(pictures.transpose(0, 3, 1, 2), width, height, method, crop).transpose(0, 2, 3, 1)


def resized_masks(masks: Array, height: int, width: int, method: str = "bilinear", crop: str = "disabled") -> Array:
    """``masks`` [b,h,w] at another size; those that have it stay as they are."""
    return resized(masks[..., np.newaxis], height, width, method, crop)[..., 0]


def repeated(batch: Array, count: int) -> Array:
    """The first ``count`` of a batch, which begins anew where it ends; InputError when it is empty."""
    if not len(batch):
        raise InputError("a batch of no pictures cannot be repeated", hint="look at the node that it comes from")
    if len(batch) == count:
        return batch
    return batch[np.arange(count) % len(batch)] if len(batch) < count else batch[:count]


def opaque(pictures: Array, channels: int) -> Array:
    """``pictures`` [b,h,w,c] with so many channels: those beyond are left out, missing ones are 1, as opacity is."""
    found = pictures.shape[3]
    if found >= channels:
        return pictures[..., :channels]
    return np.concatenate([pictures, np.ones((*pictures.shape[:3], channels - found), np.float32)], axis=3)

"""Blurring and sharpening by a Gaussian whose width is relative to the radius: it spans -1 to 1.

A kernel of two dimensions is the product of two of one, so rows and columns are weighed one after the other.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from onnxflow.errors import InputError
from onnxflow.pixels.arrays import Array, blocks

_SHARPNESS: Final = np.float32(10)


def kernel(radius: int, sigma: float) -> Array:
    """Weights float32 [2 * radius + 1] of a Gaussian at evenly spaced places from -1 to 1; they add up to 1."""
    places = np.linspace(-1, 1, 2 * radius + 1)
    weights = np.exp(-(places**2) / (2 * sigma**2))
    found: Array = (weights / weights.sum()).astype(np.float32)
    return found


def weighed(pictures: Array, weights: Array) -> Array:
    """``pictures`` [b,h,w,c] with each pixel the weighted sum of those around it, by symmetric ``weights`` [2r+1] along
    both axes; beyond an edge the picture is reflected. InputError when a side has no more than r pixels."""
    height, width, channels = pictures.shape[1:]
    radius = len(weights) // 2
    if radius >= min(height, width):
        raise InputError(
            f"a radius of {radius} is too large for pictures of {width}x{height}: it must be below the shorter side",
            hint=f"use a radius of {min(height, width) - 1} or less, or larger pictures"
            if min(height, width) > 1
            else "use larger pictures",
        )
    result = np.empty_like(pictures)
    columns = np.pad(np.arange(width), radius, mode="reflect")
    rows = np.pad(np.arange(height), radius, mode="reflect")
    padded_width = len(columns) * channels
    for picture, target in zip(pictures, result, strict=True):
        for start, stop in blocks(height, padded_width):
            needed = rows[start : stop + 2 * radius]
            first, last = int(needed.min()), int(needed.max()) + 1
            part = picture[first:last].reshape(last - first, width * channels)
            if len(needed) != last - first or radius > start or stop + radius > height:
                part = part[needed - first]
            down = _along(part, weights, stop - start, 1, axis=0)
            wide = np.empty((stop - start, len(columns), channels), np.float32)
            wide[:, radius : radius + width] = down.reshape(-1, width, channels)
            wide[:, :radius] = wide[:, radius + columns[:radius]]
            wide[:, radius + width :] = wide[:, radius + columns[radius + width :]]
            across = _along(wide.reshape(stop - start, padded_width), weights, width * channels, channels, axis=1)
            target[start:stop] = across.reshape(-1, width, channels)
    return result


def _along(values: Array, weights: Array, length: int, step: int, axis: int) -> Array:
    """The sum over k of ``weights[k]`` times ``values`` from k * step on, ``length`` long along ``axis`` (0 or 1)."""

    def part(k: int) -> Array:
        return values[k * step : k * step + length] if axis == 0 else values[:, k * step : k * step + length]

    radius = len(weights) // 2
    total: Array = part(radius) * weights[radius]
    pair = np.empty_like(total)
    for k in range(radius):  # weights are the same on both sides
        np.add(part(k), part(2 * radius - k), out=pair)
        pair *= weights[k]
        total += pair
    return total


def blurred(pictures: Array, radius: int, sigma: float) -> Array:
    """``pictures`` [b,h,w,c] blurred; ``sigma`` is in units of the radius. InputError for a radius beyond a side."""
    return weighed(pictures, kernel(radius, sigma))


def sharpened(pictures: Array, radius: int, sigma: float, alpha: float) -> Array:
    """``pictures`` [b,h,w,c] with ten times ``alpha`` of what blurring takes away added (unsharp masking), in 0..1."""
    result = blurred(pictures, radius, sigma)
    amount = np.float32(alpha) * _SHARPNESS
    for picture, soft in zip(pictures, result, strict=True):
        for start, stop in blocks(len(picture), picture.shape[1] * picture.shape[2]):
            hard, part = picture[start:stop], soft[start:stop]
            np.subtract(hard, part, out=part)
            part *= amount
            part += hard
            np.clip(part, 0, 1, out=part)
    return result

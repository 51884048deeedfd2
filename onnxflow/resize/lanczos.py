"""Lanczos resampling with antialiasing, of pictures of 8 bits a channel: what lies beyond 0..1 or between is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from onnxflow.resize.taps import Array

if TYPE_CHECKING:
    import PIL.Image

ALPHA = 4
"""With so many channels the last one is transparency, and weighs the others."""


def resample(values: Array, width: int, height: int) -> Array:
    """``values`` [b,c,h,w] in 0..1 as [b,c,height,width], multiples of 1/255: also at an equal size.

    255 * value is cut off, not rounded, to 0..255; NaN counts as 0. Four channels are one picture, whose colours count
    by their opacity; else each channel is on its own.
    """
    import PIL.Image  # here, so that other methods need not load it

    batch, channels = values.shape[:2]
    result = np.empty((batch, channels, height, width), np.float32)
    for sample, target in zip(values, result, strict=True):
        if channels == ALPHA:
            picture = PIL.Image.merge("RGBA", [_picture(plane) for plane in sample])
            resized = picture.resize((width, height), PIL.Image.Resampling.LANCZOS).split()
            for band, out in zip(resized, target, strict=True):
                _to_values(band, out)
        else:
            for plane, out in zip(sample, target, strict=True):
                _to_values(_picture(plane).resize((width, height), PIL.Image.Resampling.LANCZOS), out)
    return result


def _picture(plane: Array) -> PIL.Image.Image:
    import PIL.Image

    scaled = plane * np.float32(255)
    np.fmin(np.fmax(scaled, 0, out=scaled), 255, out=scaled)  # unlike minimum, fmin turns NaN into the number
    return PIL.Image.fromarray(scaled.astype(np.uint8))


def _to_values(picture: PIL.Image.Image, out: Array) -> None:
    np.divide(np.asarray(picture), np.float32(255), out=out)

"""Pictures with few colours: a palette by median cut (Heckbert 1982, "Color Image Quantization for Frame Buffer
Display"), and dithering by error diffusion (Floyd & Steinberg 1976) or an ordered pattern (Bayer 1973)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError
from onnxflow.pixels.arrays import Array

if TYPE_CHECKING:
    import PIL.Image

DITHERS: Final = ("none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16")

_RGB: Final = 3


def quantized(pictures: Array, colors: int, dither: str) -> Array:
    """``pictures`` [b,h,w,3] in 0..1 with at most ``colors`` (1 to 256) colours each; ``dither`` is one of DITHERS.

    Values are cut off to 8 bits first, those beyond 0..1 clipped. InputError for pictures with other channels.
    """
    import PIL.Image

    if pictures.shape[3] != _RGB:
        raise InputError(
            f"pictures with {pictures.shape[3]} channels have no palette; 3 are needed",
            hint="use SplitImageWithAlpha first",
        )
    result = np.empty_like(pictures)
    for pixels, target in zip(pictures, result, strict=True):
        scaled = np.fmin(np.fmax(pixels * np.float32(255), 0), 255)  # unlike minimum, fmin turns NaN into the number
        picture = PIL.Image.fromarray(scaled.astype(np.uint8))
        palette = picture.quantize(colors)
        if dither == "floyd-steinberg":
            found = picture.quantize(palette=palette, dither=PIL.Image.Dither.FLOYDSTEINBERG)
        elif dither == "none":
            found = picture.quantize(palette=palette, dither=PIL.Image.Dither.NONE)
        else:
            found = _ordered(picture, palette, int(dither.removeprefix("bayer-")))
        np.divide(np.asarray(found.convert("RGB")), np.float32(255), out=target)
    return result


def _ordered(picture: PIL.Image.Image, palette: PIL.Image.Image, order: int) -> PIL.Image.Image:
    """The nearest colours of ``palette`` after a pattern of ``order`` x ``order`` was added, as large as the
    distance of two levels if the colours were spread evenly."""
    import PIL.Image

    pixels = np.asarray(picture).astype(np.float32)
    height, width = pixels.shape[:2]
    entries = len(palette.getpalette() or ()) // _RGB
    pattern = (2 * 256 / entries * bayer(order) + 0.5).astype(np.float32)
    tiled = np.tile(pattern, (-(-height // order), -(-width // order)))[:height, :width]
    pixels += tiled[..., np.newaxis]
    np.clip(pixels, 0, 255, out=pixels)
    return PIL.Image.fromarray(pixels.astype(np.uint8)).quantize(palette=palette, dither=PIL.Image.Dither.NONE)


def bayer(order: int) -> NDArray[np.float64]:
    """Bayer's matrix [order, order], a power of 2, of evenly spaced numbers about 0, between -0.5 and 0.5."""
    if order == 1:
        return np.zeros((1, 1))
    count = order * order
    inner = bayer(order // 2) * count
    rows = np.block([[inner - 1.5, inner + 0.5], [inner + 1.5, inner - 0.5]])
    found: NDArray[np.float64] = rows / count
    return found

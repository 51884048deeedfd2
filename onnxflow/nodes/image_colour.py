"""Colours: EmptyImage, and brightness apart from colour: ImageRGBToYUV, ImageYUVToRGB."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from onnxflow.errors import InputError, MemoryLimitError
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Int
from onnxflow.pixels.colour import from_yuv, to_yuv
from onnxflow.values import Array, Image

Size = Annotated[int, Int(min=1, max=16384, step=1)]
Batch = Annotated[int, Int(min=1, max=4096)]
Colour = Annotated[int, Int(min=0, max=0xFFFFFF, step=1, display="color")]

_RGB = 3


def colour_bytes(colour: int) -> tuple[int, int, int]:
    """Red, green and blue, 0 to 255, of a colour written as one number (0xRRGGBB)."""
    return colour >> 16 & 0xFF, colour >> 8 & 0xFF, colour & 0xFF


@node("EmptyImage", category="image", display_name="EmptyImage")
def empty_image(width: Size = 512, height: Size = 512, batch_size: Batch = 1, color: Colour = 0) -> Image:
    """Pictures of one colour, 0xRRGGBB as a number."""
    try:
        pixels = np.empty((batch_size, height, width, _RGB), np.float32)
        pixels[...] = np.array(colour_bytes(color), np.float32) / np.float32(255)
    except MemoryError:
        raise MemoryLimitError(
            f"{batch_size} pictures of {width}x{height} do not fit into memory",
            hint="use a smaller batch_size, width or height",
        ) from None
    return Image(pixels)


@node("ImageRGBToYUV", category="image/batch", output_names=("Y", "U", "V"))
def image_rgb_to_yuv(image: Image) -> tuple[Image, Image, Image]:
    """Brightness (Y) and the differences of blue (U) and red (V) from it, each as a grey picture."""
    if image.pixels.shape[3] < _RGB:
        raise InputError("a picture of one channel has no colours", hint="use a picture of 3 channels")
    y, u, v = to_yuv(image.pixels[..., :_RGB])
    return Image(_grey(y)), Image(_grey(u)), Image(_grey(v))


@node("ImageYUVToRGB", category="image/batch")
def image_yuv_to_rgb(Y: Image, U: Image, V: Image) -> Image:
    """The pictures of brightness and colour differences, the mean of each one's channels, in 0..1."""
    parts = [part.pixels.mean(axis=3, dtype=np.float32) for part in (Y, U, V)]
    if len({part.shape for part in parts}) > 1:
        sizes = ", ".join(f"{name} {list(part.shape)}" for name, part in zip("YUV", parts, strict=True))
        raise InputError(
            f"Y, U and V differ in number or size: {sizes}", hint="use the three outputs of one ImageRGBToYUV"
        )
    return Image(from_yuv(*parts))


def _grey(values: Array) -> Array:
    return np.repeat(values[..., np.newaxis], _RGB, axis=3)

"""Masks: made, taken from pictures and turned into them, cut, grown, faded and put together."""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np

from onnxflow.errors import InputError, MemoryLimitError
from onnxflow.nodes.image_colour import Colour, colour_bytes
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Boolean, Combo, Float, Int
from onnxflow.pixels.mask import OPERATIONS, combined, grown
from onnxflow.values import Array, Image, Mask

CHANNELS: Final = ("red", "green", "blue", "alpha")

Value = Annotated[float, Float(min=0.0, max=1.0, step=0.01)]
Size = Annotated[int, Int(min=1, max=16384, step=1)]
Offset = Annotated[int, Int(min=0, max=16384, step=1)]
Operation = Annotated[str, Combo(tuple(OPERATIONS))]
Expand = Annotated[int, Int(min=-16384, max=16384, step=1)]


@node("SolidMask", category="mask", display_name="SolidMask")
def solid_mask(value: Value = 1.0, width: Size = 512, height: Size = 512) -> Mask:
    """One mask that is ``value`` everywhere."""
    try:
        return Mask(np.full((1, height, width), value, np.float32))
    except MemoryError:
        raise MemoryLimitError(
            f"a mask of {width}x{height} does not fit into memory", hint="use a smaller width or height"
        ) from None


@node("InvertMask", category="mask", display_name="InvertMask")
def invert_mask(mask: Mask) -> Mask:
    """1 less the mask."""
    return Mask(np.float32(1) - mask.values)


@node("MaskToImage", category="mask", display_name="Convert Mask to Image")
def mask_to_image(mask: Mask) -> Image:
    """The mask as a grey picture: 1 is white."""
    return Image(np.repeat(mask.values[..., np.newaxis], 3, axis=3))


@node("ImageToMask", category="mask", display_name="Convert Image to Mask")
def image_to_mask(image: Image, channel: Annotated[str, Combo(CHANNELS)]) -> Mask:
    """One channel of the pictures as a mask; InputError for pictures that do not have it."""
    index, count = CHANNELS.index(channel), image.pixels.shape[3]
    if index >= count:
        raise InputError(
            f"the pictures have no channel {channel!r}: they have {count}",
            hint=f"choose one of {', '.join(CHANNELS[:count])}",
        )
    return Mask(np.ascontiguousarray(image.pixels[..., index]))


@node("ImageColorToMask", category="mask", display_name="ImageColorToMask")
def image_color_to_mask(image: Image, color: Colour = 0) -> Mask:
    """1 where the pictures, rounded to 8 bits, have exactly the colour 0xRRGGBB."""
    wanted = colour_bytes(color)
    if image.pixels.shape[3] < len(wanted):
        raise InputError("a picture of one channel has no colours", hint="use a picture of 3 channels")
    found = np.ones(image.pixels.shape[:3], bool)
    for channel, value in enumerate(wanted):
        scaled = np.clip(image.pixels[..., channel], 0, 1)
        scaled *= np.float32(255)
        found &= np.rint(scaled, out=scaled) == value
    return Mask(found.astype(np.float32))


@node("CropMask", category="mask", display_name="CropMask")
def crop_mask(mask: Mask, x: Offset = 0, y: Offset = 0, width: Size = 512, height: Size = 512) -> Mask:
    """The rectangle of ``width`` x ``height`` from (x, y) on, as far as the mask goes; InputError if nothing is
    left."""
    part = mask.values[:, y : y + height, x : x + width]
    if not part.size:
        rows, columns = mask.values.shape[1:]
        raise InputError(f"({x}, {y}) lies outside the mask of {columns}x{rows}", hint="use a smaller x or y")
    return Mask(np.ascontiguousarray(part))


@node("MaskComposite", category="mask", display_name="MaskComposite")
def mask_composite(
    *,
    destination: Mask,
    source: Mask,
    x: Offset = 0,
    y: Offset = 0,
    operation: Annotated[str, Combo(tuple(OPERATIONS))],
) -> Mask:
    """The source put together with the part of the destination from (x, y) on that it covers."""
    return Mask(combined(destination.values, source.values, x, y, operation))


@node("FeatherMask", category="mask", display_name="FeatherMask")
def feather_mask(mask: Mask, left: Offset = 0, top: Offset = 0, right: Offset = 0, bottom: Offset = 0) -> Mask:
    """The mask faded towards its edges over so many pixels each."""
    height, width = mask.values.shape[1:]
    across, down = np.ones(width, np.float32), np.ones(height, np.float32)
    for shares, before, after in ((across, left, right), (down, top, bottom)):
        _fade(shares, min(before, len(shares)), min(after, len(shares)))
    return Mask(mask.values * across * down[:, np.newaxis])


def _fade(shares: Array, before: int, after: int) -> None:
    """Multiply what rises from 1/before at the start to 1, and the same from the end.

    From the end it is one place off, and begins at the start: so ComfyUI has it, and so pictures were made with it.
    """
    if before:
        shares[:before] *= np.arange(1, before + 1, dtype=np.float32) / np.float32(before)
    if after:
        shares[-np.arange(after)] *= np.arange(1, after + 1, dtype=np.float32) / np.float32(after)


@node("GrowMask", category="mask", display_name="GrowMask")
def grow_mask(mask: Mask, expand: Expand = 0, tapered_corners: Annotated[bool, Boolean()] = True) -> Mask:
    """The mask grown by so many pixels, or shrunk, by diamonds or squares."""
    return Mask(grown(mask.values, expand, tapered=tapered_corners))


@node("ThresholdMask", category="mask", display_name="ThresholdMask")
def threshold_mask(mask: Mask, value: Value = 0.5) -> Mask:
    """1 where the mask is above ``value``, 0 elsewhere."""
    return Mask((mask.values > np.float32(value)).astype(np.float32))

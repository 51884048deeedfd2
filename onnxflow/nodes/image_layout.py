"""Pictures cut, turned, put side by side and given room: ImageCrop, -Rotate, -Flip, -Stitch, ImagePadForOutpaint."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from onnxflow.nodes.spec import node
from onnxflow.nodes.turning import FLIPS, ROTATIONS, flipped, rotated
from onnxflow.nodes.widgets import Boolean, Combo, Int
from onnxflow.pixels import outpaint
from onnxflow.pixels.stitch import COLOURS, DIRECTIONS, stitched
from onnxflow.values import Image, Mask

Size = Annotated[int, Int(min=1, max=16384, step=1)]
Offset = Annotated[int, Int(min=0, max=16384, step=1)]
Edge = Annotated[int, Int(min=0, max=16384, step=8)]
Spacing = Annotated[int, Int(min=0, max=1024, step=2)]


@node("ImageCrop", category="image/transform", display_name="Image Crop")
def image_crop(image: Image, width: Size = 512, height: Size = 512, x: Offset = 0, y: Offset = 0) -> Image:
    """The rectangle of ``width`` x ``height`` pixels from (x, y) on, as far as the picture goes; a pixel at least."""
    left, top = min(x, image.pixels.shape[2] - 1), min(y, image.pixels.shape[1] - 1)
    return Image(np.ascontiguousarray(image.pixels[:, top : top + height, left : left + width]))


@node("ImageRotate", category="image/transform", display_name="ImageRotate")
def image_rotate(image: Image, rotation: Annotated[str, Combo(ROTATIONS)]) -> Image:
    """The pictures turned clockwise by quarters."""
    return Image(rotated(image.pixels, rotation, rows=1, columns=2))


@node("ImageFlip", category="image/transform", display_name="ImageFlip")
def image_flip(image: Image, flip_method: Annotated[str, Combo(FLIPS)]) -> Image:
    """The pictures mirrored, upside down or left to right."""
    return Image(flipped(image.pixels, flip_method, rows=1, columns=2))


@node("ImageStitch", category="image/transform", display_name="Image Stitch")
def image_stitch(
    image1: Image,
    direction: Annotated[str, Combo(DIRECTIONS)] = "right",
    match_image_size: Annotated[bool, Boolean()] = True,
    spacing_width: Spacing = 0,
    spacing_color: Annotated[str, Combo(tuple(COLOURS))] = "white",
    image2: Image | None = None,
) -> Image:
    """The second picture beside the first, on the side that ``direction`` says; the first alone without it."""
    if image2 is None:
        return image1
    return Image(
        stitched(
            image1.pixels,
            image2.pixels,
            direction,
            match=match_image_size,
            spacing=spacing_width,
            colour=spacing_color,
        )
    )


@node("ImagePadForOutpaint", category="image", display_name="Pad Image for Outpainting")
def image_pad_for_outpaint(
    image: Image, left: Edge = 0, top: Edge = 0, right: Edge = 0, bottom: Edge = 0, feathering: Offset = 40
) -> tuple[Image, Mask]:
    """The picture with grey room around it, and a mask that is 1 there and fades into the picture."""
    height, width = image.pixels.shape[1:3]
    mask = outpaint.mask(height, width, left, top, right, bottom, feathering)
    return Image(outpaint.padded(image.pixels, left, top, right, bottom)), Mask(mask[np.newaxis])

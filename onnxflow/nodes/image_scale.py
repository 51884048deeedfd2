"""Nodes that resize pictures: ImageScale, -By, -ToTotalPixels, -ToMaxDimension, ResizeAndPadImage."""

from __future__ import annotations

import math
from typing import Annotated

from onnxflow.errors import InputError
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo, Float, Int
from onnxflow.pixels.outpaint import framed
from onnxflow.resize import CROPS, resize
from onnxflow.values import Image

Side = Annotated[int, Int(min=0, max=16384, step=1)]
Method = Annotated[str, Combo(("nearest-exact", "bilinear", "area", "bicubic", "lanczos"))]
MethodByQuality = Annotated[str, Combo(("area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"))]
MethodToPad = Annotated[str, Combo(("area", "bicubic", "nearest-exact", "bilinear", "lanczos"))]
Target = Annotated[int, Int(min=1, max=16384, step=1)]


@node("ImageScale", category="image/upscaling", display_name="Upscale Image")
def image_scale(
    *,
    image: Image,
    upscale_method: Method,
    width: Side = 512,
    height: Side = 512,
    crop: Annotated[str, Combo(CROPS)],
) -> Image:
    """The pictures at width x height pixels.

    A side of 0 follows from the other one and the picture's proportions; with both 0 nothing is done.
    """
    if width == height == 0:
        return image
    old_height, old_width = _size(image)
    if width == 0:
        width = max(1, round(old_width * height / old_height))
    elif height == 0:
        height = max(1, round(old_height * width / old_width))
    return _resized(image, width, height, upscale_method, crop)


@node("ImageScaleBy", category="image/upscaling", display_name="Upscale Image By")
def image_scale_by(
    image: Image, upscale_method: Method, scale_by: Annotated[float, Float(min=0.01, max=8.0, step=0.01)] = 1.0
) -> Image:
    """The pictures resized by a factor, their sides rounded to whole pixels; InputError when none is left."""
    height, width = _size(image)
    return _resized(image, round(width * scale_by), round(height * scale_by), upscale_method)


@node("ImageScaleToTotalPixels", category="image/upscaling")
def image_scale_to_total_pixels(
    image: Image, upscale_method: Method, megapixels: Annotated[float, Float(min=0.01, max=16.0, step=0.01)] = 1.0
) -> Image:
    """The pictures in their proportions at about ``megapixels``, of 1024 x 1024 pixels each; sides are rounded.

    InputError when a picture is so thin that a side comes to less than one pixel.
    """
    height, width = _size(image)
    scale = math.sqrt(int(megapixels * 1024 * 1024) / (width * height))
    return _resized(image, round(width * scale), round(height * scale), upscale_method)


@node("ImageScaleToMaxDimension", category="image/upscaling", display_name="ImageScaleToMaxDimension")
def image_scale_to_max_dimension(image: Image, upscale_method: MethodByQuality, largest_size: Side = 512) -> Image:
    """The pictures in their proportions with ``largest_size`` pixels on the longer side; InputError when the other one
    comes to less than one pixel."""
    height, width = _size(image)
    longer = max(height, width)
    new_width, new_height = (
        largest_size if side == longer else round(side / longer * largest_size) for side in (width, height)
    )
    return _resized(image, new_width, new_height, upscale_method)


@node("ResizeAndPadImage", category="image/transform", display_name="ResizeAndPadImage")
def resize_and_pad_image(
    *,
    image: Image,
    target_width: Target = 512,
    target_height: Target = 512,
    padding_color: Annotated[str, Combo(("white", "black"))],
    interpolation: MethodToPad,
) -> Image:
    """The pictures in their proportions as large as fits, in the middle of target_width x target_height pixels of white
    or black; InputError when a side comes to less than one pixel."""
    height, width = _size(image)
    scale = min(target_width / width, target_height / height)
    inner = _resized(image, int(width * scale), int(height * scale), interpolation)
    return Image(framed(inner.pixels, target_height, target_width, 1.0 if padding_color == "white" else 0.0))


def _size(image: Image) -> tuple[int, int]:
    """Height and width in pixels; InputError for pictures without any."""
    if not image.pixels.size:
        raise InputError(f"the image is empty: its shape is {list(image.pixels.shape)}")
    height, width = image.pixels.shape[1:3]
    return height, width


def _resized(image: Image, width: int, height: int, method: str, crop: str = "disabled") -> Image:
    planes = image.pixels.transpose(0, 3, 1, 2)
    return Image(resize(planes, width, height, method, crop).transpose(0, 2, 3, 1))

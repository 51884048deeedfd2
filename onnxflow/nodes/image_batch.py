"""Batches of pictures: ImageBatch, RepeatImageBatch, ImageFromBatch, and what size pictures have."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from onnxflow.nodes.batch import MOST, part_of_batch
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Hidden, Int
from onnxflow.pixels.fit import opaque, resized
from onnxflow.values import Image

Amount = Annotated[int, Int(min=1, max=MOST)]
Index = Annotated[int, Int(min=0, max=MOST - 1)]


@node("ImageBatch", category="image", display_name="Batch Images")
def image_batch(image1: Image, image2: Image) -> Image:
    """The pictures of both, the second ones cut and resized to the first's size; missing opacity is 1."""
    one, other = image1.pixels, image2.pixels
    channels = max(one.shape[3], other.shape[3])
    other = resized(opaque(other, channels), one.shape[1], one.shape[2], "bilinear", "center")
    return Image(np.concatenate([opaque(one, channels), other]))


@node("RepeatImageBatch", category="image/batch", display_name="RepeatImageBatch")
def repeat_image_batch(image: Image, amount: Amount = 1) -> Image:
    """The pictures ``amount`` times, one whole batch after the other."""
    return Image(np.tile(image.pixels, (amount, 1, 1, 1)))


@node("ImageFromBatch", category="image/batch", display_name="ImageFromBatch")
def image_from_batch(image: Image, batch_index: Index = 0, length: Amount = 1) -> Image:
    """``length`` pictures from number ``batch_index`` on, as far as there are any, the last one at least."""
    return Image(image.pixels[part_of_batch(len(image.pixels), batch_index, length)])


@node(
    "GetImageSize",
    category="image",
    display_name="Get Image Size",
    output_names=("width", "height", "batch_size"),
)
def get_image_size(image: Image, unique_id: Annotated[Any, Hidden("UNIQUE_ID")] = None) -> tuple[int, int, int]:
    """Width and height of the pictures in pixels, and how many they are."""
    count, height, width = image.pixels.shape[:3]
    return width, height, count

"""Pictures and latents laid over each other: ImageCompositeMasked, LatentCompositeMasked, LatentComposite, ImageBlend,
PorterDuffImageComposite, and pictures with their opacity apart."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from onnxflow.errors import InputError
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Boolean, Combo, Float, Int
from onnxflow.pixels.blend import MODES, blended
from onnxflow.pixels.composite import composited, feathered
from onnxflow.pixels.fit import opaque, repeated, resized, resized_masks
from onnxflow.pixels.porter_duff import OPERATORS, composed
from onnxflow.values import Array, Image, Latent, Mask

Offset = Annotated[int, Int(min=0, max=16384, step=1)]
LatentOffset = Annotated[int, Int(min=0, max=16384, step=8)]
Share = Annotated[float, Float(min=0.0, max=1.0, step=0.01)]
Yes = Annotated[bool, Boolean()]
CELL = 8  # pixels of a latent's cell

_RGB = 3


@node("ImageCompositeMasked", category="image", display_name="ImageCompositeMasked")
def image_composite_masked(
    destination: Image,
    source: Image,
    x: Offset = 0,
    y: Offset = 0,
    resize_source: Yes = False,
    mask: Mask | None = None,
) -> Image:
    """The source over the destination from (x, y) on, where the mask is 1; channels are the destination's."""
    pixels = opaque(source.pixels, destination.pixels.shape[3])
    return Image(composited(destination.pixels, pixels, x, y, _values(mask), resize_source=resize_source))


@node("LatentCompositeMasked", category="latent", display_name="LatentCompositeMasked")
def latent_composite_masked(
    destination: Latent,
    source: Latent,
    x: LatentOffset = 0,
    y: LatentOffset = 0,
    resize_source: Yes = False,
    mask: Mask | None = None,
) -> Latent:
    """The source over the destination from (x, y) pixels on, where the mask is 1."""
    one, other = _cells(destination, source)
    found = composited(one, other, x // CELL, y // CELL, _values(mask), resize_source=resize_source)
    return destination.with_samples(found.transpose(0, 3, 1, 2))


@node("LatentComposite", category="latent", display_name="Latent Composite")
def latent_composite(
    samples_to: Latent, samples_from: Latent, x: LatentOffset = 0, y: LatentOffset = 0, feather: LatentOffset = 0
) -> Latent:
    """One latent over another from (x, y) pixels on, its edges faded over ``feather`` pixels."""
    one, other = _cells(samples_to, samples_from)
    found = feathered(one, other, x // CELL, y // CELL, feather // CELL)
    return samples_to.with_samples(found.transpose(0, 3, 1, 2))


@node("ImageBlend", category="image/postprocessing")
def image_blend(
    *, image1: Image, image2: Image, blend_factor: Share = 0.5, blend_mode: Annotated[str, Combo(tuple(MODES))]
) -> Image:
    """The first picture mixed with what the mode makes of both; the second takes the first's size and channels."""
    one = image1.pixels
    other = resized(opaque(image2.pixels, one.shape[3]), one.shape[1], one.shape[2], "bicubic", "center")
    if len(one) != len(other) and 1 not in (len(one), len(other)):
        raise InputError(
            f"{len(other)} pictures cannot be blended with {len(one)}", hint="use one, or as many as there are"
        )
    shape = (max(len(one), len(other)), *one.shape[1:])
    return Image(blended(np.broadcast_to(one, shape), np.broadcast_to(other, shape), blend_mode, blend_factor))


@node("PorterDuffImageComposite", category="mask/compositing", display_name="Porter-Duff Image Composite")
def porter_duff_image_composite(
    source: Image,
    source_alpha: Mask,
    destination: Image,
    destination_alpha: Mask,
    mode: Annotated[str, Combo(tuple(OPERATORS))] = "DST",
) -> tuple[Image, Mask]:
    """Pictures laid over each other, with masks of what is transparent (1); as many as all four have, and as large as
    the destination."""
    below = destination.pixels
    height, width, channels = below.shape[1:]
    if source.pixels.shape[3] != channels:
        raise InputError(
            f"the source has {source.pixels.shape[3]} channels, the destination {channels}",
            hint="use SplitImageWithAlpha before, so that both have 3",
        )
    above = resized(source.pixels, height, width, "bicubic", "center")
    covers = [resized_masks(m.values, height, width, "bicubic", "center") for m in (source_alpha, destination_alpha)]
    count = min(len(above), len(below), *map(len, covers))
    made = [
        composed(above[k], np.float32(1) - covers[0][k], below[k], np.float32(1) - covers[1][k], mode)
        for k in range(count)
    ]
    return Image(np.stack([pixels for pixels, _ in made])), Mask(np.stack([np.float32(1) - cover for _, cover in made]))


@node("SplitImageWithAlpha", category="mask/compositing", display_name="Split Image with Alpha")
def split_image_with_alpha(image: Image) -> tuple[Image, Mask]:
    """The colours, and a mask of what is transparent: zeros for pictures without opacity."""
    pixels = image.pixels
    if pixels.shape[3] > _RGB:
        return Image(np.ascontiguousarray(pixels[..., :_RGB])), Mask(np.float32(1) - pixels[..., _RGB])
    return image, Mask(np.zeros(pixels.shape[:3], np.float32))


@node("JoinImageWithAlpha", category="mask/compositing", display_name="Join Image with Alpha")
def join_image_with_alpha(image: Image, alpha: Mask) -> Image:
    """The pictures with a mask, which takes their size, as what is transparent; the shorter batch is repeated."""
    pixels = image.pixels[..., :_RGB]
    cover = np.float32(1) - resized_masks(alpha.values, *pixels.shape[1:3])
    count = max(len(pixels), len(cover))
    parts = [repeated(pixels, count), repeated(cover[..., np.newaxis], count)]
    return Image(np.concatenate(parts, axis=3))


def _values(mask: Mask | None) -> Array | None:
    return None if mask is None else mask.values


def _cells(one: Latent, other: Latent) -> tuple[Array, Array]:
    """The samples of two latents with channels last; InputError when they have not as many."""
    if one.samples.shape[1] != other.samples.shape[1]:
        raise InputError(
            f"one latent has {one.samples.shape[1]} channels, the other {other.samples.shape[1]}",
            hint="use latents of models of one family",
        )
    return one.samples.transpose(0, 2, 3, 1), other.samples.transpose(0, 2, 3, 1)

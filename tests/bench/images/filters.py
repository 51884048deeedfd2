"""Filters, blending and composing beside the same in PyTorch's operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F

from images.case import Case
from images.inputs import image, mask
from onnxflow.nodes import composite, image_batch, image_colour, image_filter, image_layout
from onnxflow.pixels.quantize import bayer
from onnxflow.values import Image, Mask

Tensor = Any


def tensor(values: Any) -> Tensor:
    """The same memory as a tensor."""
    return torch.from_numpy(np.array(values))


def planes(pictures: Tensor) -> Tensor:
    return pictures.movedim(-1, 1)


def _weighed(pictures: Tensor, kernel: Tensor) -> Tensor:
    channels, radius = pictures.shape[3], kernel.shape[0] // 2
    padded = F.pad(planes(pictures), (radius,) * 4, "reflect")
    found = F.conv2d(padded, kernel.expand(channels, 1, *kernel.shape), groups=channels)
    return found.movedim(1, -1)


def _gaussian(radius: int, sigma: float) -> Tensor:
    places = torch.linspace(-1, 1, 2 * radius + 1)
    weights = torch.exp(-(places[:, None] ** 2 + places[None] ** 2) / (2 * sigma * sigma))
    return weights / weights.sum()


def _blur(pictures: Tensor, radius: int) -> Tensor:
    return _weighed(pictures, _gaussian(radius, 1.0))


def _sharpen(pictures: Tensor, radius: int) -> Tensor:
    kernel = -10 * _gaussian(radius, 1.0)
    kernel[radius, radius] += 1 - kernel.sum()
    return _weighed(pictures, kernel).clamp(0, 1)


def _extreme(pictures: Tensor, size: int, sign: int) -> Tensor:
    before, after = size // 2, size - 1 - size // 2
    padded = F.pad(planes(pictures) * sign, (before, after, before, after), value=-1e4)
    windows = padded.unfold(2, size, 1).unfold(3, size, 1)
    return (windows.amax(-1).amax(-1) * sign).movedim(1, -1)


def _quantize(pictures: Tensor, dither: str) -> Tensor:
    picture = PIL.Image.fromarray((pictures[0] * 255).to(torch.uint8).numpy())
    palette = picture.quantize(16)
    how = PIL.Image.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else PIL.Image.Dither.NONE
    if dither.startswith("bayer"):
        order = int(dither.split("-")[1])
        values = torch.from_numpy(np.array(picture).astype(np.float32))
        spread = 2 * 256 / (len(palette.getpalette() or ()) // 3)
        pattern = torch.from_numpy((spread * bayer(order) + 0.5).astype(np.float32))
        tiled = pattern.tile(len(values) // order, values.shape[1] // order)[..., None]
        picture = PIL.Image.fromarray((values + tiled).clamp(0, 255).to(torch.uint8).numpy())
    found = picture.quantize(palette=palette, dither=how).convert("RGB")
    return torch.from_numpy(np.array(found)).float()[None] / 255


def _soft_light(one: Tensor, other: Tensor) -> Tensor:
    curve = torch.where(one <= 0.25, ((16 * one - 12) * one + 4) * one, torch.sqrt(one))
    dark = one - (1 - 2 * other) * one * (1 - one)
    return torch.where(other <= 0.5, dark, one + (2 * other - 1) * (curve - one))


def _blend(one: Tensor, other: Tensor, mode: str) -> Tensor:
    made = {
        "normal": lambda: other,
        "multiply": lambda: one * other,
        "screen": lambda: 1 - (1 - one) * (1 - other),
        "overlay": lambda: torch.where(one <= 0.5, 2 * one * other, 1 - 2 * (1 - one) * (1 - other)),
        "soft_light": lambda: _soft_light(one, other),
        "difference": lambda: one - other,
    }[mode]()
    return (one * 0.6 + made * 0.4).clamp(0, 1)


def _over(source: Tensor, a: Tensor, below: Tensor, b: Tensor) -> Tensor:
    a, b = 1 - a[..., None], 1 - b[..., None]
    pixels, cover = source * a + (1 - a) * below * b, a + (1 - a) * b
    return torch.where(cover > 1e-5, pixels / cover, torch.zeros_like(pixels)).clamp(0, 1)


def _to_yuv(pictures: Tensor) -> Tensor:
    red, green, blue = pictures.unbind(-1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    parts = torch.stack([y, (blue - y) * 0.564 + 0.5, (red - y) * 0.713 + 0.5], -1)
    return [parts[..., k : k + 1].expand_as(pictures).contiguous() for k in range(3)][1]


def _from_yuv(pictures: Tensor) -> Tensor:
    y, u, v = (pictures.mean(-1) for _ in range(3))
    u, v = u - 0.5, v - 0.5
    return torch.stack([y + 1.403 * v, y - 0.714 * v - 0.344 * u, y + 1.773 * u], -1).clamp(0, 1)


def _noise(pictures: Tensor) -> Tensor:
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(5))
    return (pictures + 0.3 * noise).clamp(0, 1)


def _outpaint(pictures: Tensor) -> Tensor:
    result = torch.ones(1, 2048 + 128, 2048 + 128, 3) * 0.5
    result[:, 64:-64, 64:-64] = pictures
    return result


def _over_masked(below: Tensor, above: Tensor, cover: Tensor) -> Tensor:
    result = planes(below).clone()
    weights = cover[:, None]
    result[:] = weights * planes(above) + (1 - weights) * result
    return result.movedim(1, -1)


def cases() -> Iterator[Case]:
    """One operation after the other."""
    one, two, cover, cover2 = image(0), image(1), mask(0), mask(1)
    first, second, veil, veil2 = Image(one), Image(two), Mask(cover), Mask(cover2)
    a, b, m, n = tensor(one), tensor(two), tensor(cover), tensor(cover2)

    def pixels(work: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: work().pixels

    yield Case("ImageInvert", pixels(lambda: image_filter.image_invert.function(first)), lambda: 1 - a)
    for radius in (1, 5, 15, 31):
        yield Case(
            f"ImageBlur radius {radius}",
            pixels(lambda radius=radius: image_filter.image_blur.function(first, radius, 1.0)),
            lambda radius=radius: _blur(a, radius),
        )
    for radius in (1, 5):
        yield Case(
            f"ImageSharpen radius {radius}",
            pixels(lambda radius=radius: image_filter.image_sharpen.function(first, radius, 1.0, 1.0)),
            lambda radius=radius: _sharpen(a, radius),
            5e-5,
        )
    for operation, sign in (("erode", -1), ("dilate", 1)):
        for size in (3, 15):
            yield Case(
                f"Morphology {operation} {size}",
                pixels(
                    lambda operation=operation, size=size: image_filter.morphology.function(
                        image=first, operation=operation, kernel_size=size
                    )
                ),
                lambda size=size, sign=sign: _extreme(a, size, sign),
            )
    for dither in ("none", "floyd-steinberg", "bayer-2", "bayer-16"):
        yield Case(
            f"ImageQuantize {dither}",
            pixels(lambda dither=dither: image_filter.image_quantize.function(image=first, colors=16, dither=dither)),
            lambda dither=dither: _quantize(a, dither),
        )
    yield Case("ImageAddNoise", pixels(lambda: image_filter.image_add_noise.function(first, 5, 0.3)), lambda: _noise(a))
    for mode in ("normal", "multiply", "screen", "overlay", "soft_light", "difference"):
        yield Case(
            f"ImageBlend {mode}",
            pixels(
                lambda mode=mode: composite.image_blend.function(
                    image1=first, image2=second, blend_factor=0.4, blend_mode=mode
                )
            ),
            lambda mode=mode: _blend(a, b, mode),
        )
    yield Case(
        "PorterDuffImageComposite SRC_OVER",
        lambda: composite.porter_duff_image_composite.function(first, veil, second, veil2, "SRC_OVER")[0].pixels,
        lambda: _over(a, m, b, n),
    )
    yield Case(
        "ImageCompositeMasked",
        pixels(lambda: composite.image_composite_masked.function(first, second, 0, 0, False, veil)),
        lambda: _over_masked(a, b, m),
    )
    yield Case("ImageRGBToYUV", lambda: image_colour.image_rgb_to_yuv.function(first)[1].pixels, lambda: _to_yuv(a))
    back = image_colour.image_yuv_to_rgb.function
    yield Case("ImageYUVToRGB", pixels(lambda: back(first, first, first)), lambda: _from_yuv(a))
    yield Case(
        "ImagePadForOutpaint",
        lambda: image_layout.image_pad_for_outpaint.function(first, 64, 64, 64, 64, 40)[0].pixels,
        lambda: _outpaint(a),
    )
    yield Case("ImageRotate 90", pixels(lambda: image_layout.image_rotate.function(first, "90 degrees")),
               lambda: torch.rot90(a, 1, (2, 1)).contiguous())  # fmt: skip
    yield Case("ImageFlip x", pixels(lambda: image_layout.image_flip.function(first, "x-axis: vertically")),
               lambda: torch.flip(a, (1,)))  # fmt: skip
    yield Case("ImageFlip y", pixels(lambda: image_layout.image_flip.function(first, "y-axis: horizontally")),
               lambda: torch.flip(a, (2,)))  # fmt: skip
    yield Case("ImageBatch", pixels(lambda: image_batch.image_batch.function(first, second)),
               lambda: torch.cat([a, b]))  # fmt: skip

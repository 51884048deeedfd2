"""Masks and latents beside the same in PyTorch's operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from images.case import Case
from images.filters import tensor
from images.inputs import image, mask
from onnxflow.nodes import composite, latent_arithmetic, latent_operation
from onnxflow.nodes import mask as masks
from onnxflow.values import Image, Latent, Mask

Tensor = Any


def _grown(values: Tensor, count: int, *, tapered: bool) -> Tensor:
    for _ in range(count):
        if tapered:
            padded = F.pad(values, (1, 1, 1, 1))
            around = [padded[:, :-2, 1:-1], padded[:, 2:, 1:-1], padded[:, 1:-1, :-2], padded[:, 1:-1, 2:]]
            for one in around:
                values = torch.maximum(values, one)
        else:
            values = F.max_pool2d(values[:, None], 3, 1, 1)[:, 0]
    return values


def _faded(values: Tensor, count: int) -> Tensor:
    found = values.clone()
    for k in range(count):
        share = (k + 1.0) / count
        found[:, :, k] *= share
        found[:, :, -k] *= share
        found[:, k, :] *= share
        found[:, -k, :] *= share
    return found


def _is_colour(pictures: Tensor, colour: int) -> Tensor:
    whole = (pictures.clamp(0, 1) * 255).round().to(torch.int)
    return ((whole[..., 0] << 16) + (whole[..., 1] << 8) + whole[..., 2] == colour).float()


def _interpolated(one: Tensor, other: Tensor) -> Tensor:
    long, longer = (torch.linalg.vector_norm(x, dim=1, keepdim=True) for x in (one, other))
    mixed = torch.nan_to_num(one / long) * 0.4 + torch.nan_to_num(other / longer) * 0.6
    mixed = torch.nan_to_num(mixed / torch.linalg.vector_norm(mixed, dim=1, keepdim=True))
    return mixed * (long * 0.4 + longer * 0.6)


def _sharpened(latent: Tensor, radius: int) -> Tensor:
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + 1e-6
    places = torch.linspace(-1, 1, 2 * radius + 1)
    kernel = torch.exp(-(places[:, None] ** 2 + places[None] ** 2) / 2)
    kernel = kernel / kernel.sum() * -1.0
    kernel[radius, radius] += 1 - kernel.sum()
    kernels = kernel.expand(latent.shape[1], 1, *kernel.shape)
    padded = F.pad(latent / length, (radius,) * 4, "reflect")
    return length * F.conv2d(padded, kernels, groups=latent.shape[1])


def _tonemapped(latent: Tensor) -> Tensor:
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True) + 1e-10
    top = length.std((1, 2, 3), keepdim=True) * 5 + length.mean((1, 2, 3), keepdim=True)
    scaled = length / top
    return latent / length * (scaled / (scaled + 1) * top)


def _composed(below: Tensor, above: Tensor, cover: Tensor) -> Tensor:
    weights = F.interpolate(cover[:, None], size=below.shape[2:], mode="bilinear").repeat(len(below), 1, 1, 1)
    result = below.clone()
    result[:] = weights * above + (torch.ones_like(weights) - weights) * result
    return result


def cases() -> Iterator[Case]:
    """One operation after the other."""
    one, other, picture = mask(0), mask(1), image(0)
    veil, veil2, first = Mask(one), Mask(other), Image(picture)
    m, n, a = tensor(one), tensor(other), tensor(picture)

    def values(work: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: work().values

    for count, tapered in ((6, True), (6, False), (64, True), (64, False)):
        yield Case(
            f"GrowMask {count} {'tapered' if tapered else 'square'}",
            values(lambda count=count, tapered=tapered: masks.grow_mask.function(veil, count, tapered)),
            lambda count=count, tapered=tapered: _grown(m, count, tapered=tapered),
        )
    yield Case("InvertMask", values(lambda: masks.invert_mask.function(veil)), lambda: 1 - m)
    yield Case("ThresholdMask", values(lambda: masks.threshold_mask.function(veil, 0.5)), lambda: (m > 0.5).float())
    yield Case(
        "FeatherMask 64", values(lambda: masks.feather_mask.function(veil, 64, 64, 64, 64)), lambda: _faded(m, 64)
    )
    for operation, made in (
        ("multiply", lambda: m * n),
        ("xor", lambda: (m.round().bool() ^ n.round().bool()).float()),
    ):
        yield Case(
            f"MaskComposite {operation}",
            values(
                lambda operation=operation: masks.mask_composite.function(
                    destination=veil, source=veil2, operation=operation
                )
            ),
            lambda made=made: made().clamp(0, 1),
        )
    yield Case(
        "MaskToImage", lambda: masks.mask_to_image.function(veil).pixels, lambda: m[..., None].repeat(1, 1, 1, 3)
    )
    yield Case(
        "ImageToMask", values(lambda: masks.image_to_mask.function(first, "green")), lambda: a[..., 1].contiguous()
    )
    yield Case(
        "ImageColorToMask",
        values(lambda: masks.image_color_to_mask.function(first, 0x808080)),
        lambda: _is_colour(a, 0x808080),
    )
    draws = np.random.default_rng(0)
    latents = [Latent(draws.standard_normal((4, 4, 256, 256)).astype(np.float32)) for _ in range(2)]
    x, y = (tensor(latent.samples) for latent in latents)

    def samples(work: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: work().samples

    yield Case("LatentAdd, batch 4", samples(lambda: latent_arithmetic.latent_add.function(*latents)), lambda: x + y)
    yield Case(
        "LatentBlend, batch 4",
        samples(lambda: latent_arithmetic.latent_blend.function(*latents, 0.4)),
        lambda: x * 0.4 + y * 0.6,
    )
    yield Case(
        "LatentInterpolate, batch 4",
        samples(lambda: latent_arithmetic.latent_interpolate.function(*latents, 0.4)),
        lambda: _interpolated(x, y),
    )
    sharpen = latent_operation.latent_operation_sharpen.function(9, 1.0, 0.1)
    yield Case(
        "LatentOperationSharpen 9, batch 4", lambda: sharpen.apply(latents[0].samples), lambda: _sharpened(x, 9), 1e-4
    )
    tonemap = latent_operation.latent_operation_tonemap_reinhard.function(1.0)
    yield Case(
        "LatentOperationTonemapReinhard, batch 4",
        lambda: tonemap.apply(latents[0].samples),
        lambda: _tonemapped(x),
        1e-4,
    )
    small = Mask(np.full((1, 64, 64), 0.5, np.float32))
    yield Case(
        "LatentCompositeMasked, batch 4",
        samples(lambda: composite.latent_composite_masked.function(latents[0], latents[1], 0, 0, False, small)),
        lambda: _composed(x, y, tensor(small.values)),
    )

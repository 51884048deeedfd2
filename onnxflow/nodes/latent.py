"""Simple nodes on latents: EmptyLatentImage, LatentUpscale, LatentUpscaleBy, LatentMultiply, SetLatentNoiseMask."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from onnxflow.errors import InputError, MemoryLimitError
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo, Float, Int
from onnxflow.resize import CROPS, resize
from onnxflow.values import Latent, Mask

Size = Annotated[int, Int(min=16, max=16384, step=8)]
Batch = Annotated[int, Int(min=1, max=4096)]
UpscaleSize = Annotated[int, Int(min=0, max=16384, step=8)]
UpscaleMethod = Annotated[str, Combo(("nearest-exact", "bilinear", "area", "bicubic", "bislerp"))]

SMALLEST = 64
"""No latent is made smaller than for so many pixels a side."""


@node("EmptyLatentImage", category="latent", display_name="Empty Latent Image")
def empty_latent_image(width: Size = 512, height: Size = 512, batch_size: Batch = 1) -> Latent:
    """Zeros [batch, 4, height // 8, width // 8]; sizes are pixels, rounded down to multiples of 8."""
    shape = (batch_size, 4, height // 8, width // 8)
    try:
        return Latent(np.zeros(shape, np.float32))
    except MemoryError:
        raise MemoryLimitError(
            f"a batch of {batch_size} latents for {width}x{height} pixels does not fit into memory",
            hint="use a smaller batch_size, width or height",
        ) from None


@node("LatentUpscale", category="latent", display_name="Upscale Latent")
def latent_upscale(
    *,
    samples: Latent,
    upscale_method: UpscaleMethod,
    width: UpscaleSize = 512,
    height: UpscaleSize = 512,
    crop: Annotated[str, Combo(CROPS)],
) -> Latent:
    """The latent resized for pictures of width x height pixels, of at least 64 each.

    A side of 0 follows from the other one and the latent's proportions; with both 0 nothing is done. The noise mask
    keeps its size; sampling brings it to the latent's.
    """
    if width == height == 0:
        return samples
    old_height, old_width = _size(samples)
    if width == 0:
        height = max(SMALLEST, height)
        width = round(old_width * height / old_height)
    elif height == 0:
        width = max(SMALLEST, width)
        height = round(old_height * width / old_width)
    across, down = max(SMALLEST, width) // 8, max(SMALLEST, height) // 8
    return samples.with_samples(resize(samples.samples, across, down, upscale_method, crop))


@node("LatentUpscaleBy", category="latent", display_name="Upscale Latent By")
def latent_upscale_by(
    samples: Latent,
    upscale_method: UpscaleMethod,
    scale_by: Annotated[float, Float(min=0.01, max=8.0, step=0.01)] = 1.5,
) -> Latent:
    """The latent resized by a factor, its sides rounded to whole cells; InputError when less than one is left."""
    height, width = _size(samples)
    resized = resize(samples.samples, round(width * scale_by), round(height * scale_by), upscale_method)
    return samples.with_samples(resized)


@node("LatentMultiply", category="latent/advanced")
def latent_multiply(
    samples: Latent, multiplier: Annotated[float, Float(min=-10.0, max=10.0, step=0.01)] = 1.0
) -> Latent:
    """The latent times ``multiplier``; its noise mask and batch indices stay."""
    return samples.with_samples(samples.samples * np.float32(multiplier))


@node("SetLatentNoiseMask", category="latent/inpaint", display_name="Set Latent Noise Mask")
def set_latent_noise_mask(samples: Latent, mask: Mask) -> Latent:
    """The latent with ``mask``, instead of any it had: sampling draws where it is 1 and keeps the latent where it is 0.

    The mask keeps its own size; sampling brings it to the latent's.
    """
    return replace(samples, noise_mask=mask)


def _size(latent: Latent) -> tuple[int, int]:
    """Height and width in cells; InputError for a latent without any."""
    if not latent.samples.size:
        raise InputError(f"the latent is empty: its shape is {list(latent.samples.shape)}")
    height, width = latent.samples.shape[2:]
    return height, width

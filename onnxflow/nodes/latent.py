"""Simple nodes on latents: EmptyLatentImage, LatentMultiply, SetLatentNoiseMask."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from onnxflow.errors import MemoryLimitError
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Float, Int
from onnxflow.values import Latent, Mask

Size = Annotated[int, Int(min=16, max=16384, step=8)]
Batch = Annotated[int, Int(min=1, max=4096)]


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

"""Previews: what a latent will look like, from a linear map of its channels to colours instead of the decoder."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from onnxflow.models.manifest import LatentFormat, LatentRgb
from onnxflow.values import Array, Model, Preview

LONGEST_SIDE = 512
"""No side of a preview has more pixels, as in ComfyUI."""

QUALITY = 95
"""Of the JPEG, ComfyUI's: the pictures are small."""

# K. Turner ("keturn"), "Decoding latents to RGB without upscaling", discuss.huggingface.co/t/23204 (2022), fitted for
# Stable Diffusion 1.4. Stable Diffusion 2.x is taken to have the same latents.
_SD = LatentRgb(
    (
        (0.298, 0.207, 0.208),
        (0.187, 0.286, 0.173),
        (-0.158, 0.189, 0.264),
        (-0.184, -0.271, -0.473),
    )
)

# T. A. Vass, "Explaining the SDXL latent space", huggingface.co/blog (2023), and the Diffusers documentation, "Pipeline
# callbacks": given there for colours in 0..255.
_SDXL = LatentRgb(
    (
        (60 / 127.5, 60 / 127.5, 60 / 127.5),
        (-60 / 127.5, -5 / 127.5, 10 / 127.5),
        (25 / 127.5, 15 / 127.5, -5 / 127.5),
        (-70 / 127.5, -50 / 127.5, -35 / 127.5),
    ),
    (150 / 127.5 - 1, 140 / 127.5 - 1, 130 / 127.5 - 1),
)

FAMILY_RGB: Mapping[str, LatentRgb] = MappingProxyType({"sd1": _SD, "sd2": _SD, "sdxl": _SDXL, "sdxl-refiner": _SDXL})
"""The colours of a family's latents, for bundles that do not say theirs."""


def preview_of(model: Model, denoised: Array) -> Callable[[], Preview | None]:
    """A function that draws the first sample of ``denoised`` [b,c,h,w] (in the model's space, as ``on_step`` gets it)
    when it is called, and nothing before; it gives None where the colours of the model's latents are not known.

    It keeps ``denoised`` itself, which nobody writes to.
    """
    source = model.source
    return partial(draw, denoised, latent_rgb(source.manifest.family, source.latent), source.latent.factor)


def latent_rgb(family: str, latent: LatentFormat) -> LatentRgb | None:
    """The colours of a model's latents: the bundle's own, else its family's; None for a family or a number of channels
    that there are none for."""
    if latent.rgb is not None:
        return latent.rgb
    found = FAMILY_RGB.get(family)
    return found if found is not None and len(found.factors) == latent.channels else None


def draw(latents: Array, rgb: LatentRgb | None, factor: int) -> Preview | None:
    """The first sample of ``latents`` [b,c,h,w] as a JPEG of the picture's size (``factor`` pixels a latent), made
    smaller where a side would be longer than LONGEST_SIDE; None without ``rgb``."""
    import PIL.Image

    if rgb is None:
        return None
    pixels = to_rgb(latents[0], rgb)
    height, width = pixels.shape[:2]
    scale = min(factor, LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Bilinear: a latent's cell is no square in the picture that it will be.
    picture = PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BILINEAR)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return Preview(file.getvalue(), *size)


def to_rgb(latent: Array, rgb: LatentRgb) -> NDArray[np.uint8]:
    """The colours [h,w,3] of one latent [c,h,w], one pixel a cell; what is brighter or darker than a picture can be is
    cut off."""
    factors, bias = np.asarray(rgb.factors, np.float32), np.asarray(rgb.bias, np.float32)
    colours = np.moveaxis(latent, 0, -1) @ factors + bias
    shades: NDArray[np.uint8] = np.rint((np.clip(colours, -1, 1) + 1) * np.float32(127.5)).astype(np.uint8)
    return shades

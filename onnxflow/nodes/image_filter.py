"""Pictures changed pixel by pixel or by what is around each: ImageInvert, -Blur, -Sharpen, -Quantize, -AddNoise,
Morphology, Canny."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo, Float, Int
from onnxflow.pixels import canny, gaussian, quantize
from onnxflow.pixels.arrays import blocks
from onnxflow.pixels.morphology import OPERATIONS
from onnxflow.sampling import TorchGenerator
from onnxflow.values import Array, Image

Radius = Annotated[int, Int(min=1, max=31, step=1)]
BlurWidth = Annotated[float, Float(min=0.1, max=10.0, step=0.1)]
SharpenWidth = Annotated[float, Float(min=0.1, max=10.0, step=0.01)]
Alpha = Annotated[float, Float(min=0.0, max=5.0, step=0.01)]
Colours = Annotated[int, Int(min=1, max=256, step=1)]
Seed = Annotated[int, Int(min=0, max=2**64 - 1, control_after_generate=True)]
Share = Annotated[float, Float(min=0.0, max=1.0, step=0.01)]
Kernel = Annotated[int, Int(min=3, max=999, step=1)]
Threshold = Annotated[float, Float(min=0.01, max=0.99, step=0.01)]


@node("ImageInvert", category="image", display_name="Invert Image")
def image_invert(image: Image) -> Image:
    """1 less every value, opacity included."""
    return Image(np.float32(1) - image.pixels)


@node("ImageBlur", category="image/postprocessing")
def image_blur(image: Image, blur_radius: Radius = 1, sigma: BlurWidth = 1.0) -> Image:
    """The pictures blurred by a Gaussian of ``sigma`` radii."""
    return Image(gaussian.blurred(image.pixels, blur_radius, sigma))


@node("ImageSharpen", category="image/postprocessing")
def image_sharpen(image: Image, sharpen_radius: Radius = 1, sigma: SharpenWidth = 1.0, alpha: Alpha = 1.0) -> Image:
    """The pictures with what a blur takes away added, ten times ``alpha``."""
    return Image(gaussian.sharpened(image.pixels, sharpen_radius, sigma, alpha))


@node("ImageQuantize", category="image/postprocessing")
def image_quantize(*, image: Image, colors: Colours = 256, dither: Annotated[str, Combo(quantize.DITHERS)]) -> Image:
    """The pictures with so many colours each."""
    return Image(quantize.quantized(image.pixels, colors, dither))


@node("ImageAddNoise", category="image", display_name="ImageAddNoise")
def image_add_noise(image: Image, seed: Seed = 0, strength: Share = 0.5) -> Image:
    """The pictures with ``strength`` of normal noise, in 0..1; the same seed and shape give the same noise."""
    noise: Array = TorchGenerator(seed).randn(image.pixels.shape)
    lines, pixels = noise.reshape(-1), image.pixels.reshape(-1)
    for start, stop in blocks(lines.size, 1):
        part = lines[start:stop]
        part *= np.float32(strength)
        part += pixels[start:stop]
        np.clip(part, 0, 1, out=part)
    return Image(noise)


@node("Morphology", category="image/postprocessing", display_name="ImageMorphology")
def morphology(*, image: Image, operation: Annotated[str, Combo(tuple(OPERATIONS))], kernel_size: Kernel = 3) -> Image:
    """The pictures eroded or dilated by a square, or what is made of the two."""
    return Image(OPERATIONS[operation](image.pixels, kernel_size))


@node("Canny", category="image/preprocessors")
def canny_edges(image: Image, low_threshold: Threshold = 0.4, high_threshold: Threshold = 0.8) -> Image:
    """White lines on black where the pictures have edges."""
    found = canny.edges(image.pixels, low_threshold, high_threshold)
    return Image(np.repeat(found[..., np.newaxis], 3, axis=3))

"""Nodes that write a batch as one moving picture: SaveAnimatedWEBP, SaveAnimatedPNG."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.nodes import metadata, output_files, png, webp
from onnxflow.nodes.context import Context
from onnxflow.nodes.image import check_picture, validate_prefix
from onnxflow.nodes.spec import NodeResult, node
from onnxflow.nodes.widgets import Boolean, Combo, Float, Hidden, Int, String
from onnxflow.pixels.eight_bit import to_bytes
from onnxflow.values import Image

Frames = list[NDArray[np.uint8]]
Prefix = Annotated[str, String()]
FramesPerSecond = Annotated[float, Float(0.01, 1000.0, step=0.01)]

_METHODS: Final = {"default": 4, "fastest": 0, "slowest": 6}


@node(
    "SaveAnimatedWEBP",
    category="image/animation",
    display_name="SaveAnimatedWEBP",
    output_node=True,
    validate=validate_prefix,
)
def save_animated_webp(
    ctx: Context,
    *,
    images: Image,
    filename_prefix: Prefix = "ComfyUI",
    fps: FramesPerSecond = 6.0,
    lossless: Annotated[bool, Boolean()] = True,
    quality: Annotated[int, Int(min=0, max=100)] = 80,
    method: Annotated[str, Combo(tuple(_METHODS))],
    prompt: Annotated[Any, Hidden("PROMPT")] = None,
    extra_pnginfo: Annotated[Any, Hidden("EXTRA_PNGINFO")] = None,
) -> NodeResult:
    """Writes the batch as a WebP file that carries its workflow into the output folder, 1000 / fps whole milliseconds
    a frame."""

    texts = metadata.texts(prompt, extra_pnginfo, ctx.record) if ctx.metadata else {}

    def encode(frames: Frames) -> bytes:
        duration = int(1000.0 / fps)
        return webp.encode(
            frames, texts, duration=duration, lossless=lossless, quality=quality, method=_METHODS[method]
        )

    # One frame is no animation to ComfyUI here, and is one as PNG.
    return _write(ctx, images, filename_prefix, ".webp", encode, animated=len(images.pixels) != 1)


@node(
    "SaveAnimatedPNG",
    category="image/animation",
    display_name="SaveAnimatedPNG",
    output_node=True,
    validate=validate_prefix,
)
def save_animated_png(
    ctx: Context,
    images: Image,
    filename_prefix: Prefix = "ComfyUI",
    fps: FramesPerSecond = 6.0,
    compress_level: Annotated[int, Int(min=0, max=9)] = 4,
    prompt: Annotated[Any, Hidden("PROMPT")] = None,
    extra_pnginfo: Annotated[Any, Hidden("EXTRA_PNGINFO")] = None,
) -> NodeResult:
    """Writes the batch as an animated PNG file that carries its workflow into the output folder, 1000 / fps whole
    milliseconds a frame."""

    texts = metadata.texts(prompt, extra_pnginfo, ctx.record) if ctx.metadata else {}

    def encode(frames: Frames) -> bytes:
        return png.encode_frames(frames, texts, compress_level, int(1000.0 / fps))

    return _write(ctx, images, filename_prefix, ".png", encode, animated=True)


def _write(
    ctx: Context, images: Image, prefix: str, suffix: str, encode: Callable[[Frames], bytes], *, animated: bool
) -> NodeResult:
    """One file with all the pictures, or none when the run is stopped while it is made."""
    check_picture(images)
    height, width = images.pixels.shape[1:3]
    now = time.localtime()
    place = output_files.target(ctx.disk.folders.output, "output", prefix, now=now, width=width, height=height)
    output_files.check_writable(place)
    frames = [to_bytes(pixels) for pixels in images.pixels]
    ctx.check_cancelled()
    data = encode(frames)
    ctx.check_cancelled()
    saved = tuple(output_files.save(place, suffix, [data], 1))
    return NodeResult(saved=saved, ui={"images": [file.as_ui() for file in saved], "animated": [animated]})

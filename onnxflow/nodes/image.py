"""Nodes that read and write picture files: LoadImage, SaveImage, PreviewImage."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError
from onnxflow.models.disk import Disk
from onnxflow.nodes import input_files, metadata, output_files, picture, png
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeResult, node
from onnxflow.nodes.widgets import Combo, Hidden, String
from onnxflow.values import Image, Mask, SavedFile


def input_pictures(disk: Disk) -> tuple[str, ...]:
    """The picture files in the input folder."""
    return input_files.listing(disk.folders.input, picture.is_picture)


def _validate(disk: Disk, image: Any = None) -> str | None:
    return None if image is None else input_files.problem("image", image, disk.folders, picture.is_picture)


def _fingerprint(disk: Disk, image: Any = None) -> str:
    return input_files.fingerprint(image, disk.folders, picture.is_picture)


@node("LoadImage", category="image", display_name="Load Image", validate=_validate, fingerprint=_fingerprint)
def load_image(
    ctx: Context, image: Annotated[str, Combo(choices=input_pictures, image_upload=True)]
) -> tuple[Image, Mask]:
    """The frames of a picture file and their transparency; a mask of 64x64 zeros when nothing is transparent."""
    path = input_files.find(image, ctx.disk.folders, picture.is_picture)
    try:
        found = picture.read(path)
    except (ValueError, MemoryError) as error:
        raise input_files.unreadable(image, path, str(error) or "not enough memory") from error
    mask = found.mask
    if mask is None:
        mask = np.zeros((len(found.pixels), 64, 64), np.float32)
    return Image(found.pixels), Mask(mask)


def _validate_prefix(disk: Disk, filename_prefix: str | None = None) -> str | None:
    return output_files.problem(disk.folders.output, "output", filename_prefix)


@node("SaveImage", category="image", display_name="Save Image", output_node=True, validate=_validate_prefix)
def save_image(
    ctx: Context,
    images: Image,
    filename_prefix: Annotated[str, String()] = "ComfyUI",
    prompt: Annotated[Any, Hidden("PROMPT")] = None,
    extra_pnginfo: Annotated[Any, Hidden("EXTRA_PNGINFO")] = None,
) -> NodeResult:
    """Writes each picture as a PNG file that carries its workflow into the output folder."""
    height, width = images.pixels.shape[1:3]
    place = output_files.target(
        ctx.disk.folders.output, "output", filename_prefix, now=time.localtime(), width=width, height=height
    )
    return _write(ctx, images, place, 4, prompt, extra_pnginfo)


@node("PreviewImage", category="image", display_name="Preview Image", output_node=True)
def preview_image(
    ctx: Context,
    images: Image,
    prompt: Annotated[Any, Hidden("PROMPT")] = None,
    extra_pnginfo: Annotated[Any, Hidden("EXTRA_PNGINFO")] = None,
) -> NodeResult:
    """Writes each picture into the folder of temporary files, compressed less than SaveImage does."""
    # The letters only keep previews of several runs apart: writing never replaces a file anyway.
    letters = "".join(random.choices(string.ascii_lowercase, k=5))
    place = output_files.target(ctx.disk.folders.temp, "temp", f"ComfyUI_temp_{letters}", now=time.localtime())
    return _write(ctx, images, place, 1, prompt, extra_pnginfo)


def to_bytes(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """0..1 as 0..255 by cutting off, not rounding, as ComfyUI writes files; values beyond are clipped."""
    scaled: NDArray[np.float32] = np.clip(np.float32(255) * pixels, 0, 255)
    return scaled.astype(np.uint8)


def _write(
    ctx: Context,
    images: Image,
    place: output_files.Target,
    compress_level: int,
    prompt: Any,
    extra_pnginfo: Mapping[str, Any] | None,
) -> NodeResult:
    _check(images)
    texts = metadata.texts(prompt, extra_pnginfo, ctx.record) if ctx.metadata else {}
    pictures = [to_bytes(pixels) for pixels in images.pixels]

    def files() -> Iterator[bytes]:
        for pixels in pictures:
            ctx.check_cancelled()
            yield png.encode(pixels, texts, compress_level)

    saved: list[SavedFile] = []
    for file, pixels in zip(output_files.save(place, ".png", files(), len(pictures)), pictures, strict=True):
        pixels.flags.writeable = False
        saved.append(replace(file, array=pixels))
    return NodeResult(saved=tuple(saved), ui={"images": [file.as_ui() for file in saved]})


def _check(images: Image) -> None:
    """InputError when a PNG file cannot show the pictures."""
    shape = images.pixels.shape
    if 0 in shape or shape[3] not in (1, 3, 4):
        raise InputError(
            f"cannot write images of shape {list(shape)}",
            hint="an image is [batch, height, width, channels] with 1, 3 or 4 channels and no size of 0",
        )
    bad = images.pixels.size - int(np.count_nonzero(np.isfinite(images.pixels)))
    if bad:
        raise InputError(
            f"{bad / images.pixels.size:.1%} of the image's values are NaN or infinite: it would be saved black",
            hint="a model overflowed, usually in 16 bits: use its 32-bit variant, or another VAE",
        )

"""Nodes that read and write picture files: LoadImage, LoadImageOutput, LoadImageMask, SaveImage, PreviewImage,
MaskPreview."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any, Final

import numpy as np

from onnxflow.errors import InputError
from onnxflow.models.disk import Disk
from onnxflow.nodes import input_files, metadata, output_files, picture, png
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeResult, node
from onnxflow.nodes.widgets import Combo, Hidden, String
from onnxflow.pixels.eight_bit import to_bytes
from onnxflow.values import Image, Mask, SavedFile

_OUTPUTS: Final = {
    "route": "/internal/files/output",
    "refresh_button": True,
    "control_after_refresh": "first",
}


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
    return _load(ctx, image)


@node(
    "LoadImageOutput",
    category="image",
    display_name="Load Image (from Outputs)",
    experimental=True,
    validate=_validate,
    fingerprint=_fingerprint,
)
def load_image_output(
    ctx: Context,
    image: Annotated[str, Combo(choices=None, image_upload=True, image_folder="output", remote=_OUTPUTS)],
) -> tuple[Image, Mask]:
    """As LoadImage: editors list the files of the output folder here, as ``name [output]``; a bare name is one in the
    input folder."""
    return _load(ctx, image)


@node(
    "LoadImageMask",
    category="mask",
    display_name="Load Image (as Mask)",
    validate=_validate,
    fingerprint=_fingerprint,
)
def load_image_mask(
    ctx: Context,
    image: Annotated[str, Combo(choices=input_pictures, image_upload=True)],
    channel: Annotated[str, Combo(picture.CHANNELS)],
) -> Mask:
    """One channel of a picture file's first frame, [1, height, width]; alpha as 1 where the picture is transparent."""
    path = input_files.find(image, ctx.disk.folders, picture.is_picture)
    try:
        return Mask(picture.read_channel(path, channel)[np.newaxis])
    except (ValueError, MemoryError) as error:
        raise input_files.unreadable(image, path, str(error) or "not enough memory") from error


def _load(ctx: Context, image: str) -> tuple[Image, Mask]:
    path = input_files.find(image, ctx.disk.folders, picture.is_picture)
    try:
        found = picture.read(path)
    except (ValueError, MemoryError) as error:
        raise input_files.unreadable(image, path, str(error) or "not enough memory") from error
    mask = found.mask
    if mask is None:
        mask = np.zeros((len(found.pixels), 64, 64), np.float32)
    return Image(found.pixels), Mask(mask)


def validate_prefix(disk: Disk, filename_prefix: str | None = None) -> str | None:
    """Why files of this prefix cannot be written into the output folder, or None."""
    return output_files.problem(disk.folders.output, "output", filename_prefix)


@node("SaveImage", category="image", display_name="Save Image", output_node=True, validate=validate_prefix)
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
    return _preview(ctx, images, 1, prompt, extra_pnginfo)


@node("MaskPreview", category="mask", output_node=True, display_name="MaskPreview")
def mask_preview(
    ctx: Context,
    mask: Mask,
    prompt: Annotated[Any, Hidden("PROMPT")] = None,
    extra_pnginfo: Annotated[Any, Hidden("EXTRA_PNGINFO")] = None,
) -> NodeResult:
    """Writes each mask as a grey picture into the folder of temporary files: white is masked."""
    pictures = Image(np.broadcast_to(mask.values[..., np.newaxis], (*mask.values.shape, 3)))
    return _preview(ctx, pictures, 4, prompt, extra_pnginfo)


def _preview(ctx: Context, images: Image, compress_level: int, prompt: Any, extra_pnginfo: Any) -> NodeResult:
    # The letters only keep previews of several runs apart: writing never replaces a file anyway.
    letters = "".join(random.choices(string.ascii_lowercase, k=5))
    place = output_files.target(ctx.disk.folders.temp, "temp", f"ComfyUI_temp_{letters}", now=time.localtime())
    return _write(ctx, images, place, compress_level, prompt, extra_pnginfo)


def _write(
    ctx: Context,
    images: Image,
    place: output_files.Target,
    compress_level: int,
    prompt: Any,
    extra_pnginfo: Mapping[str, Any] | None,
) -> NodeResult:
    check_picture(images)
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


def check_picture(images: Image) -> None:
    """InputError when a picture file cannot show the pictures."""
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

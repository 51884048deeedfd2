"""Reading and writing picture files: decoding into floats and encoding of them, beside Pillow with PyTorch."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import torch

from images.case import Case
from images.inputs import image
from onnxflow.nodes import picture, png
from onnxflow.pixels.eight_bit import to_bytes


def cases() -> Iterator[Case]:
    """LoadImage and SaveImage without the engine around them; the file is a PNG, with and without alpha."""
    pixels = image()
    tensor = torch.from_numpy(pixels.copy())
    with tempfile.TemporaryDirectory() as folder:
        for name, channels in (("RGB", 3), ("RGBA", 4)):
            path = Path(folder) / f"{name}.png"
            path.write_bytes(png.encode(to_bytes(image(channels=channels)[0]), {}, 1))
            yield Case(f"LoadImage {name}", lambda path=path: picture.read(path).pixels, lambda path=path: read(path))
        yield Case(
            "LoadImageMask alpha", lambda: picture.read_channel(path, "alpha"), lambda: read_alpha(path), tolerance=0
        )
    yield Case("SaveImage, bytes only", lambda: to_bytes(pixels), lambda: quantised(tensor), tolerance=0)
    yield Case(
        "SaveImage, PNG at level 4",
        lambda: decoded(png.encode(to_bytes(pixels[0]), {}, 4)),
        lambda: decoded(written(tensor)),
        tolerance=0,
    )


def read(path: Path) -> torch.Tensor:
    """All of a file's colours, [1, height, width, 3]; the mask is made too, as the node does."""
    with PIL.Image.open(path) as file:
        upright = PIL.ImageOps.exif_transpose(file)
        colours = torch.from_numpy(np.array(upright.convert("RGB")).astype(np.float32) / 255.0)[None]
        if "A" in upright.getbands():
            1.0 - torch.from_numpy(np.array(upright.getchannel("A")).astype(np.float32) / 255.0)
        return colours


def read_alpha(path: Path) -> torch.Tensor:
    """A file's transparency, [height, width]."""
    with PIL.Image.open(path) as file:
        upright = PIL.ImageOps.exif_transpose(file)
        return 1.0 - torch.from_numpy(np.array(upright.getchannel("A")).astype(np.float32) / 255.0)


def quantised(pixels: torch.Tensor) -> np.ndarray:
    """0..255 of 0..1, in numpy as ComfyUI does it: PyTorch's own clamping and casting takes four times as long."""
    return np.clip(255.0 * pixels.numpy(), 0, 255).astype(np.uint8)


def written(pixels: torch.Tensor) -> bytes:
    """The first picture as a PNG file."""
    file = io.BytesIO()
    PIL.Image.fromarray(quantised(pixels)[0]).save(file, "PNG", compress_level=4)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    """A small part of the picture in a file: enough to compare, and cheap beside writing it."""
    with PIL.Image.open(io.BytesIO(data)) as file:
        return np.asarray(file.crop((0, 0, 64, 64)))

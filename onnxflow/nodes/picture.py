"""Picture files as arrays: pixels and transparency of every frame, read the way ComfyUI's LoadImage reads them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnxflow.values import Array

if TYPE_CHECKING:
    import PIL.Image

SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".avif", ".jp2", ".ico", ".tga", ".qoi", ".pnm", ".pbm", ".pgm", ".ppm"),
)
# Formats whose decoders neither start programs (EPS) nor read other files.
FORMATS = frozenset(
    {"PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP", "DIB", "TIFF", "AVIF", "JPEG2000", "ICO", "TGA", "QOI", "PPM"}
)
MAX_PIXELS = 178_956_970
"""The most pixels all frames may have together: the size at which Pillow refuses one; 2.9 GB as floats with a mask."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Frames of one size: ``pixels`` [n, h, w, 3] and ``mask`` (1 = transparent) [n, h, w], or None without alpha."""

    pixels: Array
    mask: Array | None


def is_picture(name: str) -> bool:
    """Whether a file of this name is a picture, going by its suffix."""
    return name.lower().endswith(SUFFIXES)


def read(path: Path) -> Picture:
    """All frames of the size of the first, turned as EXIF says; ValueError with the cause when the file is no picture.

    Frames of another size are left out, and so are all but the first picture of an MPO file (stereo and previews).
    """
    import PIL.Image
    import PIL.ImageSequence

    with warnings.catch_warnings():
        # Between one and two times Pillow's limit it only warns; MAX_PIXELS decides here.
        warnings.simplefilter("ignore")
        try:
            with PIL.Image.open(path) as file:
                if file.format not in FORMATS:
                    raise ValueError(f"{file.format} files are not read; these are: {', '.join(sorted(FORMATS))}")
                return _frames(file)
        except PIL.Image.DecompressionBombError as error:
            raise ValueError(str(error)) from None
        except PIL.UnidentifiedImageError:
            raise ValueError("it is damaged or not a picture file") from None
        except (ValueError, MemoryError):
            raise
        except Exception as error:  # a damaged file makes decoders raise nearly anything
            raise ValueError(f"{error or type(error).__name__}") from error


def _frames(file: PIL.Image.Image) -> Picture:
    import PIL.ImageOps
    import PIL.ImageSequence

    pixels: list[Array] = []
    masks: list[Array | None] = []
    seen = 0
    for raw in PIL.ImageSequence.Iterator(file):
        seen += raw.width * raw.height
        if seen > MAX_PIXELS:
            raise ValueError(f"it has more than {MAX_PIXELS:,} pixels in {len(pixels) + 1} frame(s)")
        frame = PIL.ImageOps.exif_transpose(raw)
        colours = _to_unit(_eight_bit(frame).convert("RGB"))
        if not pixels or colours.shape == pixels[0].shape:
            pixels.append(colours)
            masks.append(_mask(frame))
        if file.format == "MPO":
            break
    if all(mask is None for mask in masks):
        return Picture(np.stack(pixels), None)
    opaque = np.zeros(pixels[0].shape[:2], np.float32)
    return Picture(np.stack(pixels), np.stack([opaque if mask is None else mask for mask in masks]))


def _eight_bit(frame: PIL.Image.Image) -> PIL.Image.Image:
    """16-bit greys scaled by 1/255, as ComfyUI does; Pillow alone would cut them off at 255, nearly white."""
    if frame.mode.startswith("I"):
        # Integers stay integers: Pillow truncates the products, and converting to RGB clips 256 and 257 to 255.
        return frame.convert("I").point(lambda value: value * (1 / 255))
    return frame


def _mask(frame: PIL.Image.Image) -> Array | None:
    if "A" in frame.getbands():
        return 1.0 - _to_unit(frame.getchannel("A"))
    if frame.mode == "P" and "transparency" in frame.info:
        return 1.0 - _to_unit(frame.convert("RGBA").getchannel("A"))
    return None


def _to_unit(frame: PIL.Image.Image) -> Array:
    return np.asarray(frame).astype(np.float32) / np.float32(255)

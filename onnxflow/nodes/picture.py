"""Picture files as arrays: pixels and transparency of every frame, read the way ComfyUI's LoadImage reads them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxflow.pixels.eight_bit import to_unit
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

MAX_FRAMES = 10_000
"""The most frames: thousands of one pixel cost much time and few pixels."""

CHANNELS = ("alpha", "red", "green", "blue")

Bytes = NDArray[np.uint8]
_T = TypeVar("_T")


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
    return _opened(path, _frames)


def read_channel(path: Path, channel: str) -> Array:
    """One of CHANNELS of the first frame, [h, w] in 0..1, turned as EXIF says; alpha the other way: 1 = transparent.

    ValueError with the cause when the file is no picture.
    """

    def take(file: PIL.Image.Image) -> Array:
        _check_size(file.width * file.height, 1)
        frame = _eight_bit(_upright(file)).convert("RGBA")
        values = to_unit(np.asarray(frame.getchannel(channel[0].upper())))
        return np.float32(1) - values if channel == "alpha" else values

    return _opened(path, take)


def _opened(path: Path, use: Callable[[PIL.Image.Image], _T]) -> _T:
    """What ``use`` makes of the opened file; ValueError with the cause when it cannot."""
    import PIL.Image

    with warnings.catch_warnings():
        # Between one and two times Pillow's limit it only warns; MAX_PIXELS decides here.
        warnings.simplefilter("ignore")
        try:
            with PIL.Image.open(path) as file:
                if file.format not in FORMATS:
                    raise ValueError(f"{file.format} files are not read; these are: {', '.join(sorted(FORMATS))}")
                return use(file)
        except PIL.Image.DecompressionBombError as error:
            raise ValueError(str(error)) from None
        except PIL.UnidentifiedImageError:
            raise ValueError("it is damaged or not a picture file") from None
        except ValueError as error:
            if "MAX_TEXT" in str(error):  # Pillow's guard against texts and profiles that unpack to gigabytes
                raise ValueError("its texts or its colour profile unpack to too much") from None
            raise
        except MemoryError:
            raise
        except Exception as error:  # a damaged file makes decoders raise nearly anything
            raise ValueError(f"{error or type(error).__name__}") from error


def _frames(file: PIL.Image.Image) -> Picture:
    import PIL.ImageSequence

    # As bytes until all are there: a file that is refused for its size has not cost four times as much by then.
    colours: list[Bytes] = []
    alphas: list[Bytes | None] = []
    seen = 0
    for number, raw in enumerate(PIL.ImageSequence.Iterator(file), 1):
        seen += raw.width * raw.height
        _check_size(seen, number)
        frame = _upright(raw)
        values = np.asarray(_eight_bit(frame).convert("RGB"))
        if not colours or values.shape == colours[0].shape:
            colours.append(values)
            alphas.append(_alpha(frame))
        if file.format == "MPO":
            break
    pixels = np.empty((len(colours), *colours[0].shape), np.float32)
    for at, values in enumerate(colours):
        to_unit(values, out=pixels[at])
    if all(alpha is None for alpha in alphas):
        return Picture(pixels, None)
    mask = np.zeros(pixels.shape[:3], np.float32)
    for at, alpha in enumerate(alphas):
        if alpha is not None:
            np.subtract(np.float32(1), to_unit(alpha), out=mask[at])
    return Picture(pixels, mask)


def _check_size(pixels: int, frames: int) -> None:
    """ValueError when frames with so many pixels together are too much."""
    if frames > MAX_FRAMES:
        raise ValueError(f"it has more than {MAX_FRAMES:,} frames")
    if pixels > MAX_PIXELS:
        raise ValueError(f"it has more than {MAX_PIXELS:,} pixels in {frames} frame(s)")


def _upright(frame: PIL.Image.Image) -> PIL.Image.Image:
    """Turned and mirrored as EXIF says."""
    import PIL.ImageOps

    return PIL.ImageOps.exif_transpose(frame)


def _eight_bit(frame: PIL.Image.Image) -> PIL.Image.Image:
    """32-bit greys scaled by 1/255, as ComfyUI does. 16-bit ones stay: it lets Pillow cut them off at 255."""
    if frame.mode == "I":
        # Integers stay integers: Pillow truncates the products, and converting to RGB clips 256 and 257 to 255.
        return frame.point(lambda value: value * (1 / 255))
    # Pillow knows how to convert all kinds of 16 bits to 32, and not all of them to colours.
    return frame.convert("I") if frame.mode.startswith("I;16") else frame


def _alpha(frame: PIL.Image.Image) -> Bytes | None:
    if "A" in frame.getbands():
        return np.asarray(frame.getchannel("A"))
    if frame.mode == "P" and "transparency" in frame.info:
        return np.asarray(frame.convert("RGBA").getchannel("A"))
    return None

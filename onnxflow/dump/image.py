"""IMAGE and MASK values as pictures, with their numbers: what is out of range is cut off, what is no number magenta."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.dump.colours import NOT_A_NUMBER
from onnxflow.dump.name import number
from onnxflow.dump.numbers import statistics
from onnxflow.dump.part import Part, json_part, png
from onnxflow.pixels.eight_bit import to_bytes
from onnxflow.values import Array, Image, Mask

_CHANNELS: Final = {1: ("grey",), 3: ("red", "green", "blue"), 4: ("red", "green", "blue", "alpha")}


def image_parts(image: Image) -> Iterator[Part]:
    """A PNG for each picture of the batch, in the bytes that SaveImage writes, and a JSON with its numbers."""
    pixels = image.pixels
    batch, height, width, channels = pixels.shape
    names = _CHANNELS.get(channels) or tuple(f"channel {k}" for k in range(channels))
    for k in range(batch if pixels.size else 0):
        place = number(k, batch)
        if channels in _CHANNELS:
            yield Part(f"{place}.png", partial(_png, pixels[k]))
        else:  # no picture file has so many: each is a picture of its own
            for c in range(channels):
                yield Part(f"{place}_channel{c}.png", partial(_png, pixels[k, ..., c : c + 1]))
    found: dict[str, Any] = {
        "type": "IMAGE",
        "shape": {"batch": batch, "height": height, "width": width, "channels": channels},
        "pictures": [{name: _numbers(pixels[k, ..., c]) for c, name in enumerate(names)} for k in range(batch)],
    }
    yield json_part(found)


def mask_parts(mask: Mask, ending: str = "") -> Iterator[Part]:
    """A grey PNG for each mask of the batch, white where it is 1, and a JSON with its numbers."""
    values = mask.values
    batch, height, width = values.shape
    for k in range(batch if values.size else 0):
        yield Part(f"{ending}{number(k, batch)}.png", partial(_png, values[k, ..., None]))
    if not ending:
        yield json_part(
            {
                "type": "MASK",
                "shape": {"batch": batch, "height": height, "width": width},
                "masks": [_numbers(values[k]) for k in range(batch)],
            }
        )


def beyond(values: Array) -> dict[str, int]:
    """How many values are below 0 and above 1, if any: a picture has none."""
    found = {"below 0": int((values < 0).sum()), "above 1": int((values > 1).sum())}
    return {name: count for name, count in found.items() if count}


def _numbers(values: Array) -> dict[str, Any]:
    return statistics(values) | beyond(values)


def _png(pixels: Array) -> bytes:
    return png(_shown(pixels))


def _shown(pixels: Array) -> NDArray[np.uint8]:
    """Bytes [h,w,c] of one picture; where a channel is NaN, magenta, which makes a grey one coloured."""
    broken = np.isnan(pixels).any(axis=-1)
    if not broken.any():
        return to_bytes(pixels)
    shades = to_bytes(np.nan_to_num(pixels, nan=0.0, posinf=1.0, neginf=0.0))
    if shades.shape[-1] == 1:
        shades = np.repeat(shades, 3, axis=-1)
    shades[broken] = (*NOT_A_NUMBER, 255)[: shades.shape[-1]]
    return shades

"""LATENT values: the channels as grey tiles, the colours they stand for where those are known, and all numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from onnxflow.dump.canvas import SOFT, TEXT, TITLE, Canvas, text_width
from onnxflow.dump.colours import NOT_A_NUMBER, grey
from onnxflow.dump.heat_map import draw_key, limit_of
from onnxflow.dump.image import mask_parts
from onnxflow.dump.name import number
from onnxflow.dump.numbers import statistics
from onnxflow.dump.part import Part, json_part, npz_part, png
from onnxflow.dump.thing import plain
from onnxflow.models.manifest import LatentRgb
from onnxflow.nodes.preview import LONGEST_SIDE, latent_rgb, to_rgb
from onnxflow.values import Array, Handle, Latent

_TILE: Final = 160  # pixels that the longer side of a tile has at least, and at most twice as many
_MOST_SAMPLES: Final = 8
_MOST_CHANNELS: Final = 32
_ACROSS: Final = 8  # tiles in a row of the picture
_MARGIN: Final = 24
_GAP: Final = 16


def latent_parts(latent: Latent, heading: str, model: Handle | None) -> Iterator[Part]:
    """Tiles, colours (where those of the latents of ``model`` are known), the noise mask, JSON and arrays."""
    samples = latent.samples
    if samples.size:
        yield Part(".png", partial(_tiles, samples, heading))
        rgb = latent_rgb(model.source.manifest.family, model.source.latent) if model is not None else None
        if rgb is not None and model is not None and len(rgb.factors) == samples.shape[1]:
            # The colours are fitted to the sampler's space.
            scale, factor = np.float32(model.source.latent.scale), model.source.latent.factor
            for k in range(len(samples)):
                place = number(k, len(samples))
                yield Part(f"_rgb{place}.png", partial(_colours, samples[k] * scale, rgb, factor))
    arrays: dict[str, NDArray[Any]] = {"samples": samples}
    if latent.noise_mask is not None:
        yield from mask_parts(latent.noise_mask, "_noise_mask")
        arrays["noise_mask"] = latent.noise_mask.values
    if latent.batch_index is not None:
        arrays["batch_index"] = np.asarray(latent.batch_index, np.int64)
    yield json_part(_document(latent, model))
    yield npz_part(arrays)


def _document(latent: Latent, model: Handle | None) -> dict[str, Any]:
    batch, channels, height, width = latent.samples.shape
    found: dict[str, Any] = {
        "type": "LATENT",
        "shape": {"batch": batch, "channels": channels, "height": height, "width": width},
        "space": "the VAE's own, unscaled",
    }
    if model is not None:
        source = model.source
        found["model"] = {"name": source.name, "family": source.manifest.family}
        found["pixels"] = {"height": height * source.latent.factor, "width": width * source.latent.factor}
        found["scale of the sampler's space"] = source.latent.scale
    found["samples"] = [{"channels": [statistics(latent.samples[k, c]) for c in range(channels)]} for k in range(batch)]
    mask = latent.noise_mask
    found["noise_mask"] = None if mask is None else {"shape": list(mask.values.shape), **statistics(mask.values)}
    found["batch_index"] = None if latent.batch_index is None else list(latent.batch_index)
    return found | ({"others": plain(latent.extras)} if latent.extras else {})


def _colours(latent: Array, rgb: LatentRgb, factor: int) -> bytes:
    """One sample [c,h,w] in the sampler's space as a picture of the size that it stands for, or smaller."""
    broken = ~np.isfinite(latent).all(axis=0)
    pixels = to_rgb(np.nan_to_num(latent, nan=0.0, posinf=0.0, neginf=0.0), rgb)
    pixels[broken] = NOT_A_NUMBER
    height, width = pixels.shape[:2]
    scale = min(factor, LONGEST_SIDE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    picture = PIL.Image.fromarray(pixels).resize(size, PIL.Image.Resampling.BILINEAR)
    return png(np.asarray(picture))


def _tiles(samples: Array, heading: str) -> bytes:
    """The channels of every sample as tiles, 0 in the middle of a common scale of greys."""
    shown = samples[:_MOST_SAMPLES, :_MOST_CHANNELS]
    count, channels, height, width = shown.shape
    limit = limit_of(shown)
    tile_height, tile_width = _tile_size(height, width)
    across = min(channels, _ACROSS)
    rows = math.ceil(channels / across)
    cell_height, cell_width = tile_height + TEXT + 26, max(tile_width, 130) + _GAP
    lines = [
        f"Shape [{', '.join(map(str, samples.shape))}]: batch, channels, height, width. Mid-grey is 0.",
        *_left_out(samples),
    ]
    title = TITLE + 14 + len(lines) * (TEXT + 6) + 12
    left, key = _MARGIN, _MARGIN + across * cell_width
    widest = max(text_width(heading, TITLE), *(text_width(line) for line in lines)) + 2 * _MARGIN
    total = (max(round(widest), key + 110), title + count * rows * cell_height + _MARGIN)
    canvas = Canvas(*total)
    canvas.text(left, 14, heading, size=TITLE)
    for place, line in enumerate(lines):
        canvas.text(left, TITLE + 24 + place * (TEXT + 6), line, colour=SOFT)
    for k in range(count):
        for c in range(channels):
            x = left + c % across * cell_width
            y = title + (k * rows + c // across) * cell_height
            name = f"channel {c}" if len(samples) == 1 else f"{k + 1}: channel {c}"
            canvas.text(x, y, name)
            canvas.block(x, y + TEXT + 6, _tile(shown[k, c], limit, tile_height, tile_width))
            canvas.frame(x, y + TEXT + 6, tile_width, tile_height)
    draw_key(canvas, key, title + TEXT + 6, max(tile_height, 100), limit, lambda bar: grey(bar, -limit, limit))
    return canvas.png()


def _left_out(samples: Array) -> list[str]:
    """What the picture does not show, and what is magenta in it."""
    lines = []
    if len(samples) > _MOST_SAMPLES or samples.shape[1] > _MOST_CHANNELS:
        lines.append(
            f"Drawn are at most {_MOST_SAMPLES} of the batch and {_MOST_CHANNELS} channels; the .npz has them all."
        )
    if np.isnan(samples).any():
        lines.append("Magenta is NaN.")
    return lines


def _tile(channel: Array, limit: float, height: int, width: int) -> NDArray[np.uint8]:
    """A channel [h,w] in greys [height,width,3]: cells as blocks, or the mean of several where it is larger; a pixel
    with a NaN in it is magenta."""
    way = PIL.Image.Resampling.NEAREST if height >= channel.shape[0] else PIL.Image.Resampling.BOX
    tile = np.array(PIL.Image.fromarray(grey(channel, -limit, limit)).resize((width, height), way))
    broken = np.isnan(channel)
    if broken.any():
        tile[np.asarray(PIL.Image.fromarray(broken.astype(np.float32)).resize((width, height), way)) > 0] = NOT_A_NUMBER
    return tile


def _tile_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of a tile in pixels: whole pixels a cell, or less than one for what is large."""
    longest = max(height, width)
    if longest > 2 * _TILE:
        return max(1, round(height * 2 * _TILE / longest)), max(1, round(width * 2 * _TILE / longest))
    factor = math.ceil(_TILE / longest)
    return height * factor, width * factor

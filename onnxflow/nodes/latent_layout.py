"""Latents turned, cut and put side by side: LatentRotate, -Flip, -Crop, -Concat, -Cut. Noise masks stay as they are."""

from __future__ import annotations

from typing import Annotated, Final

import numpy as np

from onnxflow.errors import InputError
from onnxflow.nodes.spec import node
from onnxflow.nodes.turning import FLIPS, ROTATIONS, flipped, rotated
from onnxflow.nodes.widgets import Combo, Int
from onnxflow.pixels.fit import repeated
from onnxflow.values import Latent

Size = Annotated[int, Int(min=64, max=16384, step=8)]
Offset = Annotated[int, Int(min=0, max=16384, step=8)]
Index = Annotated[int, Int(min=-16384, max=16384, step=1)]
Amount = Annotated[int, Int(min=1, max=16384, step=1)]

AXES: Final = {"x": 3, "y": 2, "t": 1}
"""Columns, rows, and what in latents of films is time: here the channels, which come in its place."""

CELL: Final = 8
_LEAST: Final = 8  # cells that a cut leaves where the latent has as many


@node("LatentRotate", category="latent/transform", display_name="Rotate Latent")
def latent_rotate(samples: Latent, rotation: Annotated[str, Combo(ROTATIONS)]) -> Latent:
    """The latent turned clockwise by quarters."""
    return samples.with_samples(rotated(samples.samples, rotation, rows=2, columns=3))


@node("LatentFlip", category="latent/transform", display_name="Flip Latent")
def latent_flip(samples: Latent, flip_method: Annotated[str, Combo(FLIPS)]) -> Latent:
    """The latent mirrored, upside down or left to right."""
    return samples.with_samples(flipped(samples.samples, flip_method, rows=2, columns=3))


@node("LatentCrop", category="latent/transform", display_name="Crop Latent")
def latent_crop(samples: Latent, width: Size = 512, height: Size = 512, x: Offset = 0, y: Offset = 0) -> Latent:
    """The rectangle of ``width`` x ``height`` pixels from (x, y) pixels on, as far as the latent goes; 8 cells a side
    at least, where it has as many."""
    rows, columns = samples.samples.shape[2:]
    left, top = max(0, min(x // CELL, columns - _LEAST)), max(0, min(y // CELL, rows - _LEAST))
    part = samples.samples[:, :, top : top + height // CELL, left : left + width // CELL]
    return samples.with_samples(np.ascontiguousarray(part))


@node("LatentConcat", category="latent/advanced")
def latent_concat(
    samples1: Latent, samples2: Latent, dim: Annotated[str, Combo(("x", "-x", "y", "-y", "t", "-t"))]
) -> Latent:
    """The second latent beside the first, before it with a minus; InputError when their other sizes differ."""
    axis = AXES[dim[-1]]
    one, other = samples1.samples, repeated(samples2.samples, len(samples1.samples))
    if any(one.shape[k] != other.shape[k] for k in (1, 2, 3) if k != axis):
        raise InputError(
            f"latents of {list(one.shape[1:])} and {list(other.shape[1:])} (channels, rows, columns) do not go together"
            f" along {dim}",
            hint="bring them to one size with LatentUpscale or LatentCrop first",
        )
    return samples1.with_samples(np.concatenate([other, one] if dim.startswith("-") else [one, other], axis=axis))


@node("LatentCut", category="latent/advanced")
def latent_cut(
    *, samples: Latent, dim: Annotated[str, Combo(("x", "y", "t"))], index: Index = 0, amount: Amount = 1
) -> Latent:
    """``amount`` cells from ``index`` on, from the end if it is negative, as far as there are any."""
    axis = AXES[dim]
    count = samples.samples.shape[axis]
    first = min(index, count - 1) if index >= 0 else count + max(index, -count)
    taken = np.arange(first, min(first + amount, count))
    return samples.with_samples(np.take(samples.samples, taken, axis))

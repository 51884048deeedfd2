"""What the autoencoder's last latent channel is taught to say: which shape stands where.

From colours alone a denoiser of this size learns shapes ten times later than colours, because two shapes differ in a
few cells of 16x16 only. With a channel that is nearly constant over a thing, a shape is learnt as a colour is, and the
decoder draws its outline. (Aligning latents with what a picture means speeds up diffusion training: Yao et al. 2025,
"Reconstruction vs. generation", section 3.)
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from onnxflow.export.tiny_model.landscapes import LANDMARKS, Landscape
from onnxflow.export.tiny_model.scenes import SHAPES
from onnxflow.export.tiny_model.subjects import Subject

CHANNEL = 3
CELL = 8  # pixels of a side of a latent cell
_LEVELS = (0.4, -0.4, 0.6, -0.6, 0.8, -0.8, 1.0, -1.0, 1.2, -1.2)  # zero: no thing
LEVEL_OF = dict(zip((*SHAPES, *LANDMARKS), _LEVELS, strict=True))


@dataclass(frozen=True, slots=True)
class Mark:
    """A disc of pixels that shows a thing of this level."""

    x: float
    y: float
    radius: float
    level: float


def marks_of(subject: Subject) -> tuple[Mark, ...]:
    """One for each thing or landmark, those in front last."""
    if isinstance(subject, Landscape):
        if subject.landmark is None:
            return ()
        ground = subject.horizon - subject.slope * math.cos((subject.x - 64) * (math.pi / 128))
        return (Mark(subject.x, ground - 14, 22, LEVEL_OF[subject.landmark]),)
    return tuple(Mark(thing.x, thing.y, thing.radius, LEVEL_OF[thing.shape]) for thing in reversed(subject.things))


def mark_map(marks: tuple[Mark, ...], left: int, top: int, side: int) -> NDArray[np.float32]:
    """Levels [side / 8, side / 8] of a square crop of a 128 pixel picture; NaN where a thing is not wholly inside."""
    cells = (np.arange(side // CELL, dtype=np.float32) + 0.5) * CELL - 0.5
    x, y = left + cells[None, :], top + cells[:, None]
    levels = np.zeros((len(cells), len(cells)), np.float32)
    for mark in marks:
        whole = (
            min(mark.x - left, mark.y - top) >= mark.radius - 2
            and max(mark.x - left, mark.y - top) <= side - mark.radius + 2
        )
        inside = np.maximum(np.abs(x - mark.x), np.abs(y - mark.y)) <= mark.radius
        inside &= (x - mark.x) ** 2 + (y - mark.y) ** 2 <= (1.1 * mark.radius) ** 2
        levels[inside] = mark.level if whole else np.nan
    return levels

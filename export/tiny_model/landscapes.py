"""The second, small task: landscapes under a sky, with a house, a tree or nothing in them.

They are there to be changed: the same hill by night (image to image), or with a tree where the house stood
(inpainting).
"""

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

SKIES = ("day", "sunset", "night")
LANDS = ("grass", "snow", "sand")
LANDMARKS = ("house", "tree")
SIDES = ("left", "middle", "right")
LANDSCAPE_COLOURS: dict[str, tuple[float, float, float]] = {
    "day": (0.55, 0.80, 0.97),
    "sunset": (0.97, 0.58, 0.45),
    "night": (0.07, 0.09, 0.26),
    "grass": (0.45, 0.74, 0.30),
    "snow": (0.93, 0.95, 0.98),
    "sand": (0.90, 0.78, 0.45),
    "sun": (1.00, 0.93, 0.40),
    "low sun": (0.93, 0.22, 0.16),
    "moon": (0.95, 0.95, 0.85),
    "wall": (0.70, 0.62, 0.66),
    "roof": (0.66, 0.12, 0.16),
    "door": (0.30, 0.16, 0.12),
    "crown": (0.05, 0.34, 0.14),
    "trunk": (0.38, 0.22, 0.10),
}
HELD_OUT_ONE_IN = 12  # one combination in so many is never trained

Sky = Literal["day", "sunset", "night"]
Land = Literal["grass", "snow", "sand"]
Landmark = Literal["house", "tree"]


@dataclass(frozen=True, slots=True)
class Landscape:
    """A hill under a sky. `side` is where the landmark stands, `side_said` whether the caption says so; `horizon` is a
    pixel row of a 128 pixel picture, `slope` the pixels that the hill rises towards its middle, `sun` the column of
    what hangs in the sky."""

    sky: Sky
    land: Land
    landmark: Landmark | None
    side: str | None
    side_said: bool
    x: float
    horizon: float
    slope: float
    sun: float


def random_landscape(rng: np.random.Generator) -> Landscape:
    """Any landscape; the sun or moon hangs where the landmark does not stand."""
    sky: Sky = SKIES[int(rng.integers(len(SKIES)))]  # type: ignore[assignment]
    land: Land = LANDS[int(rng.integers(len(LANDS)))]  # type: ignore[assignment]
    index = int(rng.integers(5))
    landmark: Landmark | None = None if index == 4 else LANDMARKS[index % 2]  # type: ignore[assignment]
    cell = int(rng.integers(3))
    free = [column for column in (0, 1, 2) if landmark is None or column != cell]
    sun = (28.0, 64.0, 100.0)[free[int(rng.integers(len(free)))]]
    return Landscape(
        sky=sky,
        land=land,
        landmark=landmark,
        side=SIDES[cell] if landmark else None,
        side_said=landmark is not None and bool(rng.random() < 0.7),
        x=(32.0, 64.0, 96.0)[cell] + float(rng.uniform(-4, 4)),
        horizon=float(rng.uniform(82, 92)),
        slope=float(rng.uniform(0, 10)),
        sun=sun + float(rng.uniform(-5, 5)),
    )


def is_held_out_landscape(landscape: Landscape) -> bool:
    """Whether the training must never see this combination of sky, land, landmark and side, said or not."""
    words = f"{landscape.sky} {landscape.land} {landscape.landmark} {landscape.side}"
    return zlib.crc32(words.encode()) % HELD_OUT_ONE_IN == 0


def held_out_landscape(rng: np.random.Generator) -> Landscape:
    """A random landscape that the training never saw, and whose caption it never read: of one whose caption does not
    say where the landmark stands, the same caption may stand under trained pictures."""
    while not _is_new(landscape := random_landscape(rng)):
        pass
    return landscape


def _is_new(landscape: Landscape) -> bool:
    told = landscape.landmark is None or landscape.side_said
    return told and is_held_out_landscape(landscape)


def training_landscape(rng: np.random.Generator) -> Landscape:
    """A random landscape that is not held out."""
    while is_held_out_landscape(landscape := random_landscape(rng)):
        pass
    return landscape

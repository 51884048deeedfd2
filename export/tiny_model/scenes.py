"""What a picture shows, as plain data: a background and one or two coloured shapes; and how such scenes are drawn at
random.

Held-out scenes are those the training never sees: six colour-shape pairs, and one in sixteen of all other combinations.
"""

import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

SHAPES = ("circle", "square", "triangle", "star", "heart", "diamond", "ring", "cross")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white", "black")
PALETTE: dict[str, tuple[float, float, float]] = {
    "red": (0.86, 0.10, 0.12),
    "orange": (0.98, 0.55, 0.05),
    "yellow": (0.98, 0.90, 0.15),
    "green": (0.12, 0.62, 0.22),
    "blue": (0.12, 0.30, 0.85),
    "purple": (0.50, 0.15, 0.62),
    "pink": (0.98, 0.60, 0.76),
    "white": (0.98, 0.98, 0.98),
    "black": (0.06, 0.06, 0.06),
}
SIZES = ("small", "medium", "large")
# Pixels. Things a quarter smaller take a model of this size more than twice as long to learn (measured).
RADII = {"small": 20.0, "medium": 28.0, "large": 38.0}
ROWS = ("top", "middle", "bottom")
COLUMNS = ("left", "middle", "right")
PLACES = tuple((row, column) for row in ROWS for column in COLUMNS)
BACKGROUNDS = ("plain", "gradient", "striped", "checkered")
RELATIONS = ("left of", "above", "inside")
HOLLOW = ("circle", "square", "diamond", "ring")  # what another thing may be inside of
OUTER_RADII = (42.0, 46.0)  # of such a thing
INNER_RADIUS = 18.0
PAIR_RADII = {"small": 19.0, "medium": 26.5}  # of things beside or above each other
NEVER_TRAINED = frozenset(
    [
        ("red", "heart"),
        ("orange", "ring"),
        ("yellow", "diamond"),
        ("green", "cross"),
        ("blue", "triangle"),
        ("white", "star"),
    ]
)

BackgroundKind = Literal["plain", "gradient", "striped", "checkered"]
Direction = Literal["horizontal", "vertical"]


@dataclass(frozen=True, slots=True)
class Background:
    """A pattern of one or two colours; direction is the way a gradient runs, or a stripe lies, and is said in the
    caption or not."""

    kind: BackgroundKind
    first: str
    second: str | None = None
    direction: Direction | None = None
    direction_said: bool = False
    swapped: bool = False  # a striped or checkered pattern that starts with the second colour


@dataclass(frozen=True, slots=True)
class Thing:
    """One coloured shape: centre and radius in pixels of a 128 pixel picture; place and size are None where the
    caption leaves them open."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    size: str | None = None
    place: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """A background with one thing, or two of which the first is left of, above or inside the second."""

    background: Background
    things: tuple[Thing, ...]
    relation: str | None = None


def is_held_out(scene: Scene) -> bool:
    """Whether the training must never see this combination of background, shapes and colours."""
    return has_new_pair(scene) or zlib.crc32(_combination(scene).encode()) % 16 == 0


def has_new_pair(scene: Scene) -> bool:
    """Whether a thing's colour and shape were never trained together."""
    return any((thing.colour, thing.shape) in NEVER_TRAINED for thing in scene.things)


def random_scene(rng: np.random.Generator, two_objects: float) -> Scene:
    """Any scene; two things with probability `two_objects`. No thing has a colour that its background hides."""
    background = _random_background(rng)
    free = [colour for colour in COLOURS if not hides(background, colour)]
    if rng.random() < two_objects:
        return _pair(rng, background, free)
    return Scene(background, (_single(rng, _pick(rng, free)),))


def training_scene(rng: np.random.Generator, two_objects: float) -> Scene:
    """A random scene that is not held out."""
    while is_held_out(scene := random_scene(rng, two_objects)):
        pass
    return scene


def held_out_scene(rng: np.random.Generator, two_objects: float) -> Scene:
    """A random scene that the training never saw."""
    while not is_held_out(scene := random_scene(rng, two_objects)):
        pass
    return scene


def hides(background: Background, colour: str) -> bool:
    """Whether a thing of this colour could not be told from the background: an equal colour, or one near a gradient's
    way."""
    if colour in (background.first, background.second):
        return True
    if background.kind != "gradient" or background.second is None:
        return False
    a, b, c = (np.array(PALETTE[name]) for name in (background.first, background.second, colour))
    along = np.clip(np.dot(c - a, b - a) / np.dot(b - a, b - a), 0.0, 1.0)
    return bool(np.linalg.norm(a + along * (b - a) - c) < 0.35)


def _combination(scene: Scene) -> str:
    back = scene.background
    colours = [back.first, str(back.second)]
    if back.kind in ("striped", "checkered"):
        colours.sort()  # black and yellow stripes are yellow and black ones, in words and in pictures
    things = " ".join(f"{thing.colour} {thing.shape}" for thing in scene.things)
    return f"{back.kind} {' '.join(colours)} {things} {scene.relation}"


def _pick(rng: np.random.Generator, choices: list[str] | tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]


def _random_background(rng: np.random.Generator) -> Background:
    kind: BackgroundKind = ("plain", "plain", "gradient", "striped", "checkered")[int(rng.integers(5))]  # type: ignore[assignment]
    first = _pick(rng, COLOURS)
    if kind == "plain":
        return Background(kind, first)
    second = _pick(rng, [colour for colour in COLOURS if colour != first])
    direction: Direction = "horizontal" if rng.random() < 0.5 else "vertical"
    said = bool(rng.random() < 0.5)
    if kind == "gradient":
        return Background(kind, first, second, direction, said)
    swapped = bool(rng.random() < 0.5)
    if kind == "striped":
        return Background(kind, first, second, direction, said, swapped)
    return Background(kind, first, second, swapped=swapped)


def _single(rng: np.random.Generator, colour: str) -> Thing:
    shape = _pick(rng, SHAPES)
    size = _pick(rng, SIZES) if rng.random() < 0.5 else None
    radius = RADII[size or _pick(rng, ("medium", "medium", "large"))] * rng.uniform(0.93, 1.07)
    place = PLACES[int(rng.integers(len(PLACES)))] if rng.random() < 0.6 else None
    if place is None:
        x, y = 64 + rng.uniform(-14, 14, 2)
    else:
        x = centre(COLUMNS.index(place[1])) + rng.uniform(-4, 4)
        y = centre(ROWS.index(place[0])) + rng.uniform(-4, 4)
    x, y = (float(np.clip(value, radius + 2, 126 - radius)) for value in (x, y))
    return Thing(shape, colour, x, y, float(radius), size, place)


def centre(cell: int) -> float:
    """Pixel at the middle of the first, second or third cell of a side."""
    return (36.0, 64.0, 92.0)[cell]


def _pair(rng: np.random.Generator, background: Background, free: list[str]) -> Scene:
    relation = _pick(rng, RELATIONS)
    if relation == "inside":
        return _nested(rng, background, free)
    sizes = [_pick(rng, ("small", "medium")) if rng.random() < 0.25 else None for _ in range(2)]
    across = 64 + rng.uniform(-16, 16)
    things = []
    for cell, size in enumerate(sizes):
        along = (31.0, 97.0)[cell] + rng.uniform(-2, 2)
        x, y = (along, across + rng.uniform(-5, 5)) if relation == "left of" else (across + rng.uniform(-5, 5), along)
        radius = PAIR_RADII[size or _pick(rng, ("small", "medium", "medium"))] * rng.uniform(0.96, 1.04)
        things.append(Thing(_pick(rng, SHAPES), _pick(rng, free), float(x), float(y), float(radius), size))
    return Scene(background, tuple(things), relation)


def _nested(rng: np.random.Generator, background: Background, free: list[str]) -> Scene:
    x, y = (64 + rng.uniform(-10, 10, 2)).tolist()
    outer = Thing(_pick(rng, HOLLOW), _pick(rng, free), x, y, float(rng.uniform(*OUTER_RADII)))
    colour = _pick(rng, [colour for colour in free if colour != outer.colour])
    radius = float(INNER_RADIUS * rng.uniform(0.96, 1.04))
    dx, dy = rng.uniform(-1.5, 1.5, 2).tolist()
    return Scene(background, (Thing(_pick(rng, SHAPES), colour, x + dx, y + dy, radius), outer), "inside")

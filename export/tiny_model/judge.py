"""What a picture shows, decided from its pixels alone: the background is fitted first, what it does not explain are
the things.

A thing's shape is the template that overlaps it best after both are scaled to the same box, its colour the nearest of
the palette. A part of a thing that has another colour and does not touch its edge is a thing inside it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from onnxflow.export.tiny_model.renderer import Picture, pattern_weight, shape_mask
from onnxflow.export.tiny_model.scenes import COLOURS, COLUMNS, PALETTE, RADII, ROWS, SHAPES, SIZES, Scene

Floats = NDArray[np.float32]
BOX = 24  # side of the box that shapes are compared in
DIFFERENT = 0.22  # distance in RGB (0..1) from which a pixel is no longer background
SMALLEST = 60  # pixels of the smallest patch that counts as a thing
APART = 20.0  # pixels between the centres of things that are beside or above each other
ONE_COLOUR = (0.30, 0.80)  # share of a thing's pixels that must be so near its colour in RGB; drawn ones: 0.97
MOST_STRAY = 0.02  # share of a picture that neither the background nor a thing may explain; drawn ones: 0.0002
INSIDE_DIFFERENT = 0.30  # distance in RGB from which a part of a thing counts as another thing
TWO_COLOURED = 0.25  # distance in RGB from which a background's two colours count as two
_ALTERNATIVES = (  # plain first: it wins a tie
    ("plain", None),
    ("gradient", "horizontal"),
    ("gradient", "vertical"),
    ("striped", "horizontal"),
    ("striped", "vertical"),
    ("checkered", None),
)


@dataclass(frozen=True, slots=True)
class SeenThing:
    """One thing in a picture: place is (row, column), x and y its centre in pixels."""

    shape: str
    colour: str
    size: str
    place: tuple[str, str]
    x: float
    y: float
    radius: float  # as the renderer counts it
    overlap: float  # with the template, 0..1


@dataclass(frozen=True, slots=True)
class Sight:
    """All that is seen in a picture; the colours of a background in the order of its pattern, and the share of the
    picture that neither it nor a thing explains."""

    kind: str
    colours: tuple[str, ...]
    direction: str | None
    things: tuple[SeenThing, ...]
    stray: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Which parts of a wanted scene a picture shows; place, size and direction are None where the caption leaves them
    open."""

    background: bool
    colours: bool
    shapes: bool
    relation: bool | None
    place: bool | None
    size: bool | None
    direction: bool | None

    @property
    def all_right(self) -> bool:
        """Background, every colour and every shape, and with two things their order."""
        return self.background and self.colours and self.shapes and self.relation is not False


def look(picture: Picture) -> Sight:
    """See a 128x128 picture [128, 128, 3] uint8."""
    pixels = (picture / np.float32(255)).astype(np.float32)
    kind, direction, first, second = _fit_background(pixels)
    weight = _weights(128)[(kind, direction)][..., None]
    away = np.linalg.norm(pixels - (first * (1 - weight) + second * weight), axis=2)
    different = away > DIFFERENT
    patches = _patches(_without_lines(different))
    explained = _grown(_grown(np.logical_or.reduce([np.zeros_like(different), *patches])))
    colours = (_nearest(first),) if kind == "plain" else (_nearest(first), _nearest(second))
    things = tuple(thing for patch in patches for thing in _see_patch(pixels, away, patch))
    return Sight(kind, colours, direction, things, float((different & ~explained).mean()))


def judge(picture: Picture, scene: Scene) -> Verdict:
    """Compare what a picture shows with what was asked for."""
    sight = look(picture)
    wanted, seen = scene.things, sight.things
    if scene.relation is not None:
        seen = tuple(sorted(seen, key=_ORDER[scene.relation]))
    same_count = len(seen) == len(wanted)
    pairs = list(zip(wanted, seen, strict=False))
    return Verdict(
        background=_background_right(sight, scene),
        colours=same_count and sorted(thing.colour for thing in wanted) == sorted(thing.colour for thing in seen),
        shapes=same_count and sorted(thing.shape for thing in wanted) == sorted(thing.shape for thing in seen),
        relation=None
        if scene.relation is None
        else same_count
        and all((a.colour, a.shape) == (b.colour, b.shape) for a, b in pairs)
        and _related(scene.relation, *seen),
        place=_agree([(a.place, b.place) for a, b in pairs if a.place is not None], same_count)
        if wanted[0].place
        else None,
        size=_agree([(a.size, b.size) for a, b in pairs if a.size is not None], same_count)
        if any(thing.size for thing in wanted)
        else None,
        direction=sight.direction == scene.background.direction if scene.background.direction_said else None,
    )


_ORDER: dict[str, Callable[[SeenThing], float]] = {
    "left of": lambda thing: thing.x,
    "above": lambda thing: thing.y,
    "inside": lambda thing: thing.radius,
}


def _related(relation: str, first: SeenThing, second: SeenThing) -> bool:
    """Whether two things in the relation's order are clearly in that relation."""
    if relation == "inside":
        return float(np.hypot(first.x - second.x, first.y - second.y)) + first.radius / 2 < second.radius
    across, down = second.x - first.x, second.y - first.y
    return (across if relation == "left of" else down) > APART


def _agree(pairs: list[tuple[object, object]], same_count: bool) -> bool:
    return same_count and all(wanted == seen for wanted, seen in pairs)


def _background_right(sight: Sight, scene: Scene) -> bool:
    if sight.stray > MOST_STRAY:
        return False
    back = scene.background
    wanted = (back.first,) if back.second is None else (back.first, back.second)
    if back.kind == "gradient":
        return sight.kind == back.kind and sight.colours == wanted
    return sight.kind == back.kind and sorted(sight.colours) == sorted(wanted)


@cache
def _weights(size: int) -> dict[tuple[str, str | None], Floats]:
    return {(kind, direction): pattern_weight(kind, direction, size) for kind, direction in _ALTERNATIVES}


def _fit_background(pixels: Floats) -> tuple[str, str | None, Floats, Floats]:
    """Kind, direction and the two colours of the pattern that explains the best-explained 60 % of the pixels best."""
    small = pixels[::2, ::2].reshape(-1, 3)
    fits = []
    for rank, (alternative, weight) in enumerate(_weights(128).items()):
        error, first, second = _fit_pattern(small, weight[::2, ::2].reshape(-1))
        if alternative[0] != "plain" and np.linalg.norm(first - second) < TWO_COLOURED:
            continue
        fits.append((error, rank, alternative, first, second))
    _, _, (kind, direction), first, second = min(fits, key=lambda fit: fit[:2])
    return kind, direction, first, second


def _fit_pattern(pixels: Floats, weight: Floats) -> tuple[float, Floats, Floats]:
    """Least squares for two colours, repeated on the 60 % that fit best; the mean distance of those."""
    basis = np.stack([1 - weight, weight], 1)
    if not weight.any():
        basis = basis[:, :1]
    colours = np.stack([np.median(pixels[column > 0.6], axis=0) for column in basis.T])
    for _ in range(4):
        distance = np.linalg.norm(pixels - basis @ colours, axis=1)
        kept = distance <= np.quantile(distance, 0.6)
        colours = np.linalg.lstsq(basis[kept], pixels[kept], rcond=None)[0].astype(np.float32)
    distance = np.sort(np.linalg.norm(pixels - basis @ colours, axis=1))[: int(0.6 * len(pixels))]
    return float(distance.mean()), colours[0], colours[-1]


def _nearest(colour: Floats) -> str:
    distances = [float(np.linalg.norm(colour - np.array(PALETTE[name], np.float32))) for name in COLOURS]
    return COLOURS[int(np.argmin(distances))] if min(distances) < 0.3 else "none"


def _without_lines(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask without what is thinner than three pixels, such as soft edges between stripes (a morphological
    opening)."""
    return _grown(~_grown(~mask))


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and its eight neighbours; beyond the border there is nothing."""
    height, width = mask.shape
    padded = np.pad(mask, 1)
    shifted = [padded[dy : dy + height, dx : dx + width] for dy in (0, 1, 2) for dx in (0, 1, 2)]
    return np.logical_or.reduce(shifted)


def _patches(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Connected patches (eight neighbours) that are large enough, largest first."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        padded = np.pad(labels, 1)
        spread = labels
        for dy in (0, 1, 2):
            for dx in (0, 1, 2):
                spread = np.maximum(spread, padded[dy : dy + mask.shape[0], dx : dx + mask.shape[1]])
        spread = np.where(mask, spread, 0)
        spread = np.where(mask, np.concatenate([[0], spread.reshape(-1)])[spread], 0)  # jump to the label's own label
        if np.array_equal(spread, labels):
            break
        labels = spread
    names, counts = np.unique(labels[mask], return_counts=True)
    order = np.argsort(-counts)
    return [labels == names[index] for index in order if counts[index] >= SMALLEST]


def _see_patch(pixels: Floats, away: Floats, patch: NDArray[np.bool_]) -> list[SeenThing]:
    """The thing that a patch is, or the two that it is when one lies inside the other."""
    whole = ~_grown(~patch)
    inner = _inner(pixels, patch, whole) if whole.any() else None
    if inner is None:
        return [_see(pixels, patch, patch & (away >= np.quantile(away[patch], 0.3)))]
    around = _grown(_grown(inner)) & ~inner
    in_a_hole = (around & ~patch).sum() > 0.5 * around.sum()
    outline = patch & ~_grown(inner) if in_a_hole else patch
    outer = whole & ~_grown(_grown(inner))
    kept = ~_grown(~inner)
    return [_see(pixels, outline, outer), _see(pixels, inner, kept if kept.any() else inner)]


def _inner(pixels: Floats, patch: NDArray[np.bool_], core: NDArray[np.bool_]) -> NDArray[np.bool_] | None:
    """The part of a patch that has a colour of its own and does not touch the patch's outer edge, if there is one.
    `core` is the patch without its soft edge."""
    palette = np.array([PALETTE[name] for name in COLOURS], np.float32)
    inside = pixels[core]
    nearest = np.linalg.norm(inside[:, None] - palette, axis=2).argmin(1)
    names, counts = np.unique(nearest, return_counts=True)
    colours = [np.median(inside[nearest == name], axis=0) for name in names[np.argsort(-counts)]]
    rim = None
    found: list[NDArray[np.bool_]] = []
    for colour in colours[1:]:
        if np.linalg.norm(colour - colours[0]) < INSIDE_DIFFERENT:
            continue
        nearer = np.linalg.norm(pixels - colour, axis=2) < np.linalg.norm(pixels - colours[0], axis=2)
        rim = patch & _grown(_grown(_outside(patch))) if rim is None else rim
        parts = _patches(_without_lines(patch & nearer))
        found += [part for part in parts if (part & rim).sum() <= 0.05 * part.sum()]
    return max(found, key=lambda part: int(part.sum()), default=None)


def _outside(patch: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels that can be reached from the border without crossing a patch: its holes are not among them."""
    reached = np.zeros_like(patch)
    reached[0], reached[-1], reached[:, 0], reached[:, -1] = True, True, True, True
    reached &= ~patch
    while (further := _grown(reached) & ~patch).sum() > reached.sum():
        reached = further
    return reached


def _see(pixels: Floats, patch: NDArray[np.bool_], core: NDArray[np.bool_]) -> SeenThing:
    """The thing whose outline is that of a patch and whose colour is that of its core, if that has one colour."""
    shown = pixels[core if core.any() else patch]
    colour = np.median(shown, axis=0)
    distance, share = ONE_COLOUR
    of_one_colour = (np.linalg.norm(shown - colour, axis=1) < distance).mean() >= share
    rows, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    box = _scaled(patch[top:bottom, left:right].astype(np.float32))
    overlaps = [float(np.minimum(box, template).sum() / np.maximum(box, template).sum()) for template in _templates()]
    best = int(np.argmax(overlaps))
    x, y = float(left + right) / 2, float(top + bottom) / 2  # numpy's False, of comparing its floats, is not False
    radius = float(max(bottom - top, right - left)) / _extents()[best]
    return SeenThing(
        shape=SHAPES[best] if overlaps[best] > 0.6 else "none",
        colour=_nearest(colour) if of_one_colour else "none",
        size=min(SIZES, key=lambda size: abs(RADII[size] - radius)),
        place=(ROWS[_third(y)], COLUMNS[_third(x)]),
        x=x,
        y=y,
        radius=radius,
        overlap=overlaps[best],
    )


def _third(pixel: float) -> int:
    return int(pixel > 50) + int(pixel > 78)


def _scaled(mask: Floats) -> Floats:
    """A mask of any size to [BOX, BOX], every cell the mean of three by three samples."""
    rows = ((np.arange(BOX * 3) + 0.5) / (BOX * 3) * mask.shape[0]).astype(int)
    columns = ((np.arange(BOX * 3) + 0.5) / (BOX * 3) * mask.shape[1]).astype(int)
    return mask[rows][:, columns].reshape(BOX, 3, BOX, 3).mean((1, 3))


@cache
def _templates() -> tuple[Floats, ...]:
    return tuple(_scaled(_cut(shape)) for shape in SHAPES)


@cache
def _extents() -> tuple[float, ...]:
    """The longer side of each shape's box for radius one."""
    return tuple(max(_cut(shape).shape) / 50 for shape in SHAPES)


def _cut(shape: str) -> Floats:
    mask = shape_mask(shape, 64, 64, 50) > 0.5
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.float32)

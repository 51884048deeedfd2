"""Scenes and landscapes to English: many phrasings of the same picture, so that the model listens to words rather
than to one template."""

from collections.abc import Sequence

import numpy as np

from onnxflow.export.tiny_model.landscapes import Landscape
from onnxflow.export.tiny_model.scenes import Background, Scene, Thing
from onnxflow.export.tiny_model.subjects import Subject

SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "disc", "dot"),
    "square": ("square", "square", "box"),
    "triangle": ("triangle",),
    "star": ("star",),
    "heart": ("heart",),
    "diamond": ("diamond", "diamond", "rhombus"),
    "ring": ("ring", "ring", "donut"),
    "cross": ("cross", "cross", "plus sign"),
}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {"purple": ("purple", "purple", "violet")}
SIZE_WORDS: dict[str, tuple[str, ...]] = {
    "small": ("small", "small", "little", "tiny"),
    "medium": ("medium", "medium sized"),
    "large": ("large", "big", "huge"),
}
OPENINGS = ("", "", "", "", "a picture of ", "a drawing of ", "an image of ", "draw ", "there is ")
SKY_WORDS = {
    "day": (" by day", " during the day", " under a blue sky", " in the sunshine"),
    "sunset": (" at sunset", " at dusk", " in the evening", " under a red sky"),
    "night": (" at night", " by night", " under the moon", " under a dark sky"),
}
LAND_WORDS = {
    "grass": ("a green hill", "a meadow", "a grassy hill", "a field of grass"),
    "snow": ("a snowy hill", "a field of snow", "a white hill", "a snowy field"),
    "sand": ("a sand dune", "a desert", "a sandy hill", "a hill of sand"),
}


def caption(subject: Subject, rng: np.random.Generator) -> str:
    """One of many true captions of a scene or landscape, lower case, without saying what it leaves open."""
    return _landscape(subject, rng) if isinstance(subject, Landscape) else _scene(subject, rng)


def _landscape(landscape: Landscape, rng: np.random.Generator) -> str:
    sky, land = _pick(SKY_WORDS[landscape.sky], rng), _pick(LAND_WORDS[landscape.land], rng)
    opening = _pick(OPENINGS, rng)
    if landscape.landmark is None:
        return f"{opening}{_pick((land, f'an empty landscape, {land}'), rng)}{sky}"
    side = ""
    if landscape.side_said:
        side = " in the middle" if landscape.side == "middle" else f" on the {landscape.side}"
    landmark = f"a {landscape.landmark}{side}"
    order = int(rng.integers(3))
    if order == 0:
        return f"{opening}{land}{sky} with {landmark}"
    if order == 1:
        return f"{opening}{landmark}, {land}{sky}"
    where = "on" if land.endswith(("hill", "dune", "hill of sand")) else "in"
    return f"{opening}a {landscape.landmark} {where} {land}{sky}{',' + side if side else ''}"


def _scene(scene: Scene, rng: np.random.Generator) -> str:
    if scene.relation is not None:
        subject = _pair(scene.things[0], scene.things[1], scene.relation, rng)
        place = ""
    else:
        subject = _thing(scene.things[0], rng)
        place = _place(scene.things[0].place, rng)
    back = _background(scene.background, rng)
    opening = _pick(OPENINGS, rng)
    order = int(rng.integers(5))
    if order == 0:
        return f"{opening}{back} with {subject}{place}"
    if order == 1:
        return f"{opening}{subject}{place}, {back}"
    if order == 2 and place:
        return f"{opening}{subject} on {back},{place}"
    return f"{opening}{subject}{place} on {back}"


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _with_article(words: str) -> str:
    return ("an " if words[0] in "aeiou" else "a ") + words


def _colour(name: str, rng: np.random.Generator) -> str:
    return _pick(COLOUR_WORDS.get(name, (name,)), rng)


def _thing(thing: Thing, rng: np.random.Generator) -> str:
    words = [_colour(thing.colour, rng), _pick(SHAPE_WORDS[thing.shape], rng)]
    if thing.size is not None:
        words.insert(0, _pick(SIZE_WORDS[thing.size], rng))
    return _with_article(" ".join(words))


def _place(place: tuple[str, str] | None, rng: np.random.Generator) -> str:
    if place is None:
        return ""
    row, column = place
    if (row, column) == ("middle", "middle"):
        return _pick((" in the middle", " in the center", " in the centre"), rng)
    if row == "middle":
        return _pick((f" on the {column}", f" at the {column}", f" on the {column} side"), rng)
    if column == "middle":
        return _pick((f" at the {row}", f" at the {row}, centered"), rng)
    return _pick((f" in the {row} {column}", f" in the {row} {column} corner", f" at the {row} {column}"), rng)


def _pair(first: Thing, second: Thing, relation: str, rng: np.random.Generator) -> str:
    one, other = _thing(first, rng), _thing(second, rng)
    turned = rng.random() < 0.5
    if relation == "left of":
        if turned:
            return f"{other} {_pick(('to the right of', 'right of'), rng)} {one}"
        return f"{one} {_pick(('to the left of', 'left of'), rng)} {other}"
    if relation == "inside":
        if turned:
            return _pick((f"{other} around {one}", f"{other} containing {one}", f"{other} with {one} inside"), rng)
        return f"{one} {_pick(('inside', 'in', 'within'), rng)} {other}"
    if turned:
        return f"{other} {_pick(('below', 'under', 'beneath'), rng)} {one}"
    return f"{one} {_pick(('above', 'over'), rng)} {other}"


def _background(background: Background, rng: np.random.Generator) -> str:
    one = _colour(background.first, rng)
    if background.kind == "plain":
        return _pick(
            (f"{_with_article(one)} background", f"{_with_article(one)} background", f"a plain {one} background"), rng
        )
    other = _colour(background.second or background.first, rng)
    if background.kind == "gradient":
        said = f"{background.direction} " if background.direction_said else ""
        return _pick(
            (
                f"a {said}gradient from {one} to {other}",
                f"a {said}gradient background from {one} to {other}",
                f"{_with_article(f'{said}{one}')} to {other} gradient",
            ),
            rng,
        )
    if rng.random() < 0.5:
        one, other = other, one
    if background.kind == "checkered":
        pattern = _pick(("checkered background", "checkerboard", "checkered background"), rng)
        return _with_article(f"{one} and {other} {pattern}")
    said = f"{background.direction} " if background.direction_said else ""
    return _pick(
        (f"{said}{one} and {other} stripes", _with_article(f"{said}{one} and {other} striped background")), rng
    )

# ruff: noqa: E402
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.renderer import shape_mask
from onnxflow.export.tiny_model.scenes import (
    COLOURS,
    HOLLOW,
    NEVER_TRAINED,
    RELATIONS,
    Background,
    Scene,
    has_new_pair,
    held_out_scene,
    hides,
    is_held_out,
    random_scene,
    training_scene,
)

PATTERNS = ("striped", "checkered")


def combination(scene: Scene) -> tuple[object, ...]:
    """What a picture and its caption have in common with others of the same things on the same background."""
    back = scene.background
    colours = (back.first, back.second) if back.kind == "gradient" else frozenset((back.first, back.second))
    return (back.kind, colours, None, scene.relation, *((t.colour, t.shape) for t in scene.things))


def test_training_and_held_out_scenes_share_no_combination() -> None:
    rng = np.random.default_rng(1)
    trained = {combination(training_scene(rng, 0.3)) for _ in range(3000)}
    held_out = {combination(held_out_scene(rng, 0.3)) for _ in range(1000)}
    assert not trained & held_out
    assert not {pair for scene in trained for pair in scene[4:]} & NEVER_TRAINED


def test_a_pattern_is_held_out_whichever_of_its_colours_is_called_the_first() -> None:
    rng = np.random.default_rng(4)
    patterned = [scene for scene in (random_scene(rng, 0.3) for _ in range(2000)) if scene.background.kind in PATTERNS]
    for scene in patterned:
        back = scene.background
        turned = replace(scene, background=replace(back, first=back.second, second=back.first))
        assert is_held_out(scene) == is_held_out(turned)


def test_held_out_scenes_are_of_both_kinds() -> None:
    rng = np.random.default_rng(2)
    scenes = [held_out_scene(rng, 0.0) for _ in range(300)]
    new = sum(has_new_pair(scene) for scene in scenes)
    assert 60 < new < 240
    assert all(is_held_out(scene) for scene in scenes)


def test_no_thing_has_a_colour_of_its_background() -> None:
    rng = np.random.default_rng(3)
    for _ in range(500):
        scene = random_scene(rng, 0.5)
        for thing in scene.things:
            assert thing.colour not in (scene.background.first, scene.background.second)


def test_a_gradient_hides_the_colours_on_its_way() -> None:
    assert hides(Background("gradient", "red", "yellow"), "orange")
    assert not hides(Background("striped", "red", "yellow"), "orange")
    assert all(
        any(not hides(Background("gradient", a, b), c) for c in COLOURS) for a in COLOURS for b in COLOURS if a != b
    )


def test_the_same_seed_gives_the_same_scene() -> None:
    assert random_scene(np.random.default_rng(4), 0.5) == random_scene(np.random.default_rng(4), 0.5)


def test_things_lie_inside_the_picture() -> None:
    rng = np.random.default_rng(5)
    for _ in range(500):
        for thing in random_scene(rng, 0.4).things:
            assert thing.radius - 4 <= min(thing.x, thing.y)
            assert max(thing.x, thing.y) <= 132 - thing.radius


def test_what_is_inside_lies_in_the_free_middle_of_something_hollow() -> None:
    rng = np.random.default_rng(6)
    scenes = [scene for scene in (random_scene(rng, 1.0) for _ in range(600)) if scene.relation == "inside"]
    assert {scene.things[1].shape for scene in scenes} == set(HOLLOW)
    for scene in scenes:
        inner, outer = scene.things
        assert inner.colour != outer.colour
        room = np.sqrt(0.30) if outer.shape == "ring" else 0.68  # of a diamond: 0.85 * 1.15 / hypot(0.85, 1.15)
        centre = shape_mask(outer.shape, outer.x, outer.y, outer.radius)[round(outer.y), round(outer.x)]
        assert centre == (0 if outer.shape == "ring" else 1)
        inner_reach = np.hypot(inner.x - outer.x, inner.y - outer.y) + inner.radius
        assert inner_reach < room * outer.radius


def test_no_relation_is_rare() -> None:
    rng = np.random.default_rng(7)
    relations = [random_scene(rng, 1.0).relation for _ in range(600)]
    assert all(150 < relations.count(relation) < 250 for relation in RELATIONS)
    assert {random_scene(rng, 0.0).relation for _ in range(50)} == {None}

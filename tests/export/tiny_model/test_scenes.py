# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.scenes import (
    COLOURS,
    NEVER_TRAINED,
    Background,
    Scene,
    has_new_pair,
    held_out_scene,
    hides,
    is_held_out,
    random_scene,
    training_scene,
)


def combination(scene: Scene) -> tuple[object, ...]:
    back = scene.background
    return (back.kind, back.first, back.second, scene.relation, *((t.colour, t.shape) for t in scene.things))


def test_training_and_held_out_scenes_share_no_combination() -> None:
    rng = np.random.default_rng(1)
    trained = {combination(training_scene(rng, 0.3)) for _ in range(3000)}
    held_out = {combination(held_out_scene(rng, 0.3)) for _ in range(1000)}
    assert not trained & held_out
    assert not {pair for scene in trained for pair in scene[4:]} & NEVER_TRAINED


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

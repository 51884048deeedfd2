# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.judge import judge, look
from onnxflow.export.tiny_model.renderer import jittered_palette, render
from onnxflow.export.tiny_model.scenes import Background, Scene, Thing, random_scene


def drawn(count: int, seed: int) -> tuple[list[Scene], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, 0.4) for _ in range(count)]
    return scenes, [render(scene, jittered_palette(rng, 0.015)) for scene in scenes]


def test_every_true_picture_is_right() -> None:
    scenes, pictures = drawn(250, 11)
    verdicts = [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
    assert all(verdict.all_right for verdict in verdicts)
    assert sum(verdict.place is False for verdict in verdicts) == 0
    assert sum(verdict.direction is False for verdict in verdicts) == 0
    assert sum(verdict.size is False for verdict in verdicts) <= 2


def test_pictures_of_other_prompts_are_wrong() -> None:
    scenes, pictures = drawn(250, 12)
    right = sum(
        judge(picture, scene).all_right for picture, scene in zip(pictures, scenes[1:] + scenes[:1], strict=True)
    )
    assert right == 0


def test_it_says_what_it_sees() -> None:
    scene = Scene(Background("striped", "blue", "white", "vertical"), (Thing("star", "red", 36, 92, 22),))
    sight = look(render(scene))
    assert (sight.kind, set(sight.colours), sight.direction) == ("striped", {"blue", "white"}, "vertical")
    (thing,) = sight.things
    assert (thing.shape, thing.colour, thing.size, thing.place) == ("star", "red", "medium", ("bottom", "left"))


def two(left: Thing, right: Thing) -> Scene:
    return Scene(Background("plain", "white"), (left, right), "left of")


def test_two_things_in_the_wrong_order_have_a_wrong_relation_only() -> None:
    picture = render(two(Thing("star", "red", 36, 64, 20), Thing("ring", "blue", 92, 64, 20)))
    verdict = judge(picture, two(Thing("ring", "blue", 36, 64, 20), Thing("star", "red", 92, 64, 20)))
    assert (verdict.colours, verdict.shapes, verdict.relation, verdict.all_right) == (True, True, False, False)


def test_two_things_with_their_colours_exchanged_are_not_all_right() -> None:
    picture = render(two(Thing("star", "blue", 36, 64, 20), Thing("ring", "red", 92, 64, 20)))
    assert not judge(picture, two(Thing("star", "red", 36, 64, 20), Thing("ring", "blue", 92, 64, 20))).all_right


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_of_nothing_is_not_right(level: int) -> None:
    picture = np.full((128, 128, 3), level, np.uint8)
    assert look(picture).things == ()
    assert not judge(picture, drawn(1, 3)[0][0]).all_right


def test_noise_is_not_right() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    assert not any(judge(picture, scene).all_right for scene in drawn(20, 4)[0])

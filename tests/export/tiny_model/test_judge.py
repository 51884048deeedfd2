# ruff: noqa: E402
from dataclasses import asdict

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.judge import judge, look
from onnxflow.export.tiny_model.landscapes import random_landscape
from onnxflow.export.tiny_model.renderer import jittered_palette, render
from onnxflow.export.tiny_model.scenes import HOLLOW, Background, Scene, Thing, random_scene


def drawn(count: int, seed: int) -> tuple[list[Scene], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, 0.5) for _ in range(count)]
    return scenes, [render(scene, jittered_palette(rng, 0.015)) for scene in scenes]


def test_every_true_picture_is_right() -> None:
    scenes, pictures = drawn(250, 11)
    assert sum(scene.relation == "inside" for scene in scenes) > 20
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
    scene = Scene(Background("striped", "blue", "white", "vertical"), (Thing("star", "red", 36, 92, 28),))
    sight = look(render(scene))
    assert (sight.kind, set(sight.colours), sight.direction) == ("striped", {"blue", "white"}, "vertical")
    (thing,) = sight.things
    assert (thing.shape, thing.colour, thing.size, thing.place) == ("star", "red", "medium", ("bottom", "left"))


def test_a_verdict_is_of_true_false_and_none_only() -> None:
    scenes, pictures = drawn(60, 15)
    for picture, scene in zip(pictures, scenes, strict=True):
        for wanted in (scene, scenes[0]):
            assert {type(value) for value in asdict(judge(picture, wanted)).values()} <= {bool, type(None)}


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


def nested(inner: Thing, outer: Thing) -> Scene:
    return Scene(Background("plain", "white"), (inner, outer), "inside")


@pytest.mark.parametrize("shape", HOLLOW)
def test_a_star_in_something_hollow_is_two_things(shape: str) -> None:
    scene = nested(Thing("star", "red", 65, 63, 16), Thing(shape, "blue", 64, 64, 42))
    sight = look(render(scene))
    assert {(thing.shape, thing.colour) for thing in sight.things} == {("star", "red"), (shape, "blue")}
    assert judge(render(scene), scene).all_right


def test_a_star_in_the_hole_of_a_ring_is_inside_it() -> None:
    picture = render(nested(Thing("star", "red", 64, 64, 15), Thing("ring", "blue", 64, 64, 44)))
    assert tuple(picture[64, 64 + 21]) == tuple(picture[0, 0])  # the background between the two
    small, large = sorted(look(picture).things, key=lambda thing: thing.radius)
    assert (small.shape, large.shape) == ("star", "ring")
    assert small.radius == pytest.approx(15, abs=2)
    assert large.radius == pytest.approx(44, abs=2)


@pytest.mark.parametrize("shape", ["square", "triangle"])
def test_a_thing_that_touches_a_ring_from_inside_is_told_from_it(shape: str) -> None:
    scene = nested(Thing(shape, "red", 65, 65, 17), Thing("ring", "blue", 64, 64, 40))
    assert {thing.shape for thing in look(render(scene)).things} == {shape, "ring"}
    assert judge(render(scene), scene).all_right


def test_inner_and_outer_exchanged_are_wrong() -> None:
    scene = nested(Thing("circle", "red", 64, 64, 16), Thing("square", "blue", 64, 64, 42))
    exchanged = nested(Thing("square", "blue", 64, 64, 16), Thing("circle", "red", 64, 64, 42))
    verdict = judge(render(exchanged), scene)
    assert (verdict.colours, verdict.shapes, verdict.relation, verdict.all_right) == (True, True, False, False)


def test_inner_and_outer_with_their_colours_exchanged_are_wrong() -> None:
    scene = nested(Thing("star", "red", 64, 64, 16), Thing("square", "blue", 64, 64, 42))
    assert not judge(
        render(nested(Thing("star", "blue", 64, 64, 16), Thing("square", "red", 64, 64, 42))), scene
    ).all_right


def test_things_side_by_side_are_not_inside_each_other() -> None:
    star, ring = Thing("star", "red", 36, 64, 16), Thing("ring", "blue", 92, 64, 22)
    verdict = judge(render(two(star, ring)), nested(star, ring))
    assert (verdict.colours, verdict.shapes, verdict.relation, verdict.all_right) == (True, True, False, False)


def test_things_inside_each_other_are_not_side_by_side() -> None:
    star, ring = Thing("star", "red", 62, 64, 16), Thing("ring", "blue", 64, 64, 42)
    for relation in ("left of", "above"):
        assert not judge(
            render(nested(star, ring)), Scene(Background("plain", "white"), (star, ring), relation)
        ).all_right


@pytest.mark.parametrize("shape", HOLLOW)
def test_something_hollow_alone_is_one_thing_and_lacks_what_was_to_be_inside(shape: str) -> None:
    outer = Thing(shape, "blue", 64, 64, 42)
    picture = render(Scene(Background("plain", "white"), (outer,)))
    assert [thing.shape for thing in look(picture).things] == [shape]
    assert not judge(picture, nested(Thing("star", "red", 64, 64, 16), outer)).all_right


def test_landscapes_are_no_scenes() -> None:
    rng = np.random.default_rng(13)
    pictures = [render(random_landscape(rng)) for _ in range(40)]
    scenes, _ = drawn(40, 14)
    assert not any(judge(picture, scene).all_right for picture, scene in zip(pictures, scenes, strict=True))


CIRCLE = Scene(Background("plain", "white"), (Thing("circle", "red", 64, 64, 30),))
BLUE = (31, 77, 217)


def test_a_thing_of_two_colours_has_no_colour() -> None:
    picture = render(CIRCLE)
    red = np.abs(picture.astype(int) - picture[64, 64]).max(axis=2) < 40
    rows = np.arange(128)[:, None]
    for second in (rows > 66, rows % 8 < 3):  # the lower half; stripes
        changed = picture.copy()
        changed[red & second] = BLUE
        verdict = judge(changed, CIRCLE)
        assert not verdict.colours
        assert not verdict.all_right


def test_lines_across_the_picture_make_the_background_wrong() -> None:
    picture = render(CIRCLE)
    assert judge(picture, CIRCLE).all_right
    picture[::6] = 0
    verdict = judge(picture, CIRCLE)
    assert not verdict.background
    assert not verdict.all_right


def test_the_size_of_the_second_thing_is_asked_too() -> None:
    wanted = two(Thing("star", "red", 34, 64, 26), Thing("ring", "blue", 96, 64, 26, size="medium"))
    small = two(Thing("star", "red", 34, 64, 26), Thing("ring", "blue", 96, 64, 19))
    assert judge(render(wanted), wanted).size is True
    assert judge(render(small), wanted).size is False

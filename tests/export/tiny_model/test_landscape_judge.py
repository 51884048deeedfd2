# ruff: noqa: E402
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.landscape_judge import judge_landscape, look_at_landscape
from onnxflow.export.tiny_model.landscapes import Landscape, random_landscape
from onnxflow.export.tiny_model.renderer import jittered_palette, render
from onnxflow.export.tiny_model.scenes import random_scene

HOUSE = Landscape("day", "grass", "house", "left", True, 32.0, 86.0, 5.0, 100.0)


def drawn(count: int, seed: int) -> tuple[list[Landscape], list[np.ndarray]]:
    rng = np.random.default_rng(seed)
    landscapes = [random_landscape(rng) for _ in range(count)]
    return landscapes, [render(landscape, jittered_palette(rng, 0.015)) for landscape in landscapes]


def test_every_true_picture_is_right() -> None:
    landscapes, pictures = drawn(300, 11)
    verdicts = [judge_landscape(picture, wanted) for picture, wanted in zip(pictures, landscapes, strict=True)]
    assert all(verdict.all_right for verdict in verdicts)
    assert sum(verdict.side is not None for verdict in verdicts) > 100


def test_the_side_is_seen_where_the_caption_leaves_it_open_too() -> None:
    landscapes, pictures = drawn(100, 12)
    assert [look_at_landscape(picture).side for picture in pictures] == [landscape.side for landscape in landscapes]


def test_pictures_of_other_landscapes_are_right_only_where_their_captions_agree() -> None:
    landscapes, pictures = drawn(200, 13)
    for shown, picture, wanted in zip(landscapes, pictures, landscapes[1:] + landscapes[:1], strict=True):
        same = (shown.sky, shown.land, shown.landmark) == (wanted.sky, wanted.land, wanted.landmark)
        same_side = not wanted.side_said or shown.side == wanted.side
        assert judge_landscape(picture, wanted).all_right == (same and same_side)


def only_wrong(shown: Landscape) -> list[str]:
    verdict = judge_landscape(render(shown), HOUSE)
    return [name for name in ("sky", "land", "landmark", "side") if getattr(verdict, name) is False]


def test_what_is_wrong_is_told() -> None:
    assert only_wrong(HOUSE) == []
    assert [only_wrong(replace(HOUSE, sky=sky)) for sky in ("sunset", "night")] == [["sky"], ["sky"]]
    assert [only_wrong(replace(HOUSE, land=land)) for land in ("snow", "sand")] == [["land"], ["land"]]
    assert only_wrong(replace(HOUSE, landmark="tree")) == ["landmark"]
    assert only_wrong(replace(HOUSE, landmark=None)) == ["landmark", "side"]
    assert [only_wrong(replace(HOUSE, x=x, sun=28.0)) for x in (64.0, 96.0)] == [["side"], ["side"]]


def test_something_where_nothing_was_asked_for_is_wrong() -> None:
    empty = replace(HOUSE, landmark=None, side=None, side_said=False)
    assert judge_landscape(render(empty), empty).all_right
    for landmark in ("house", "tree"):
        verdict = judge_landscape(render(replace(HOUSE, landmark=landmark)), empty)
        assert (verdict.sky, verdict.land, verdict.landmark, verdict.side) == (True, True, False, None)


def test_a_side_that_is_not_said_is_not_asked() -> None:
    anywhere = replace(HOUSE, side_said=False)
    verdict = judge_landscape(render(replace(HOUSE, x=96.0, sun=28.0)), anywhere)
    assert verdict.side is None
    assert verdict.all_right


def test_half_a_house_is_no_house() -> None:
    picture = render(HOUSE)
    roof = np.array([168, 31, 41])
    picture[(np.abs(picture.astype(int) - roof).max(2) < 40)] = picture[0, 0]
    assert look_at_landscape(picture).landmark == "none"
    assert not judge_landscape(picture, HOUSE).all_right


def test_pictures_of_scenes_are_not_right() -> None:
    rng = np.random.default_rng(14)
    pictures = [render(random_scene(rng, 0.5)) for _ in range(100)]
    wanted = drawn(100, 15)[0]
    assert not any(
        judge_landscape(picture, landscape).all_right for picture, landscape in zip(pictures, wanted, strict=True)
    )


def test_noise_and_nothing_are_not_right() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    wanted = drawn(40, 16)[0]
    for picture in (noise, np.zeros_like(noise), np.full_like(noise, 255), np.full_like(noise, 128)):
        assert not any(judge_landscape(picture, landscape).all_right for landscape in wanted)


def both(first: Landscape, second: Landscape, columns: int) -> np.ndarray:
    """The first picture, with the columns of the second from one on."""
    picture = render(first)
    picture[:, columns:] = render(second)[:, columns:]
    return picture


def test_a_second_landmark_is_wrong() -> None:
    for landmark in ("house", "tree"):
        second = replace(HOUSE, landmark=landmark, side="right", x=96.0)
        verdict = judge_landscape(both(HOUSE, second, 64), replace(HOUSE, side_said=False))
        assert verdict.sky and verdict.land
        assert not verdict.landmark, landmark


def test_what_belongs_to_no_landscape_is_wrong() -> None:
    box, ground = render(HOUSE), render(HOUSE)
    box[2:30, 40:80] = 0
    ground[100:, 64:] = (200, 20, 20)
    for picture in (box, ground):
        assert not judge_landscape(picture, HOUSE).all_right

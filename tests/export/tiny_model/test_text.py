# ruff: noqa: E402
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.config import read_recipe
from onnxflow.export.tiny_model.landscapes import Landscape
from onnxflow.export.tiny_model.scenes import Background, Scene, Thing, random_scene
from onnxflow.export.tiny_model.subjects import Subject, training_subject
from onnxflow.export.tiny_model.text import (
    QUESTIONS,
    CaptionReader,
    build_text_encoder,
    mean_of_losses,
    read_batch,
    text_states,
)
from onnxflow.export.tiny_model.tokenizer import train_tokenizer

RECIPE = read_recipe()
SMALL = replace(RECIPE, text=replace(RECIPE.text, hidden=16, heads=2, layers=1))
TOKENIZER = train_tokenizer(["a red circle on a blue background", "a house on a green hill by day"], 540)
OPEN = -100  # not asked


def answers(*subjects: Subject) -> list[list[int]]:
    return read_batch(list(subjects), TOKENIZER, np.random.default_rng(1))[1].tolist()


def test_there_are_fifteen_questions_about_a_scene_and_four_about_a_landscape() -> None:
    assert QUESTIONS == (5, 9, 9, 9, 9, 3, 4, 9, 10, 4, 10, 9, 10, 4, 10, 3, 3, 3, 4)


def test_a_scene_is_not_asked_about_as_a_landscape() -> None:
    scene = Scene(
        Background("striped", "blue", "red", "vertical", direction_said=True),
        (Thing("square", "pink", 64, 64, 22, "large", ("top", "right")),),
    )
    assert answers(scene) == [[2, 0, 4, OPEN, OPEN, 2, 0, 2, 7, 3, 3, 0, OPEN, OPEN, OPEN, *[OPEN] * 4]]


def test_a_pattern_is_asked_about_in_any_order_and_a_gradient_in_its_own() -> None:
    things = (Thing("star", "green", 64, 64, 22),)
    ways = [
        ("checkered", "red", "blue"),
        ("checkered", "blue", "red"),
        ("gradient", "red", "blue"),
        ("gradient", "blue", "red"),
    ]
    rows = answers(*(Scene(Background(*way), things) for way in ways))
    assert [row[:5] for row in rows] == [
        [3, 0, 4, OPEN, OPEN],
        [3, 0, 4, OPEN, OPEN],
        [1, OPEN, OPEN, 0, 4],
        [1, OPEN, OPEN, 4, 0],
    ]


def test_both_things_of_a_pair_and_their_relation_are_asked_about() -> None:
    things = (Thing("star", "red", 64, 64, 16), Thing("ring", "white", 64, 64, 42))
    relations = [
        answers(Scene(Background("plain", "blue"), things, name))[0] for name in ("left of", "above", "inside")
    ]
    assert [row[6] for row in relations] == [1, 2, 3]
    assert relations[2] == [0, 4, OPEN, OPEN, OPEN, 0, 3, 4, 1, 0, 0, 7, 8, 0, 0, *[OPEN] * 4]


def test_the_ends_of_a_gradient_are_asked_about_apart_from_a_patterns_colours() -> None:
    thing = (Thing("star", "white", 64, 64, 22),)
    rows = answers(
        Scene(Background("gradient", "green", "red", "vertical"), thing),
        Scene(Background("checkered", "green", "red"), thing),
    )
    assert [row[1:5] for row in rows] == [[OPEN, OPEN, 3, 0], [0, 3, OPEN, OPEN]]


def test_a_landscape_is_asked_about_its_sky_land_landmark_and_said_side() -> None:
    places = {"x": 96.0, "horizon": 88.0, "slope": 5.0, "sun": 28.0}
    house = Landscape("sunset", "snow", "house", "right", True, **places)
    rows = answers(
        house,
        replace(house, side_said=False),
        replace(house, landmark="tree", sky="night"),
        replace(house, landmark=None, side=None, side_said=False, land="sand"),
    )
    assert [row[0] for row in rows] == [4] * 4  # the background's last answer: it is a landscape
    assert all(row[1:15] == [OPEN] * 14 for row in rows)
    assert [row[15:] for row in rows] == [[1, 1, 1, 3], [1, 1, 1, 0], [2, 1, 2, 3], [1, 2, 0, 0]]


def test_every_answer_is_one_of_its_question() -> None:
    rng = np.random.default_rng(2)
    data = replace(RECIPE.data, landscapes=0.4)
    rows = answers(*(training_subject(rng, data) for _ in range(2000)))
    seen = [{row[index] for row in rows} - {OPEN} for index in range(len(QUESTIONS))]
    wanted = [set(range(count)) for count in QUESTIONS]
    for index in (2, 7, 8, 12):  # a pattern's colours are sorted, there is a first thing, and both have a colour
        wanted[index].remove(0)
    wanted[13].remove(3)  # the second is never said to be large,
    wanted[14] = {0}  # nor where it lies
    assert seen == wanted


def test_captions_are_read_anywhere_from_their_end_on() -> None:
    rng = np.random.default_rng(4)
    ids, _, places = read_batch([training_subject(rng, RECIPE.data) for _ in range(200)], TOKENIZER, rng)
    assert ids.shape == (200, 77)
    behind = places - (ids == TOKENIZER.end).int().argmax(1)
    assert behind.min() >= 0
    assert places.max() <= 76
    assert len(set(behind.tolist())) > 20


def test_every_question_counts_the_same_and_what_is_not_asked_does_not() -> None:
    reader = CaptionReader(build_text_encoder(SMALL, TOKENIZER))
    rng = np.random.default_rng(3)
    ids, wanted, places = read_batch([random_scene(rng, 0.5) for _ in range(6)], TOKENIZER, rng)
    assert [logits.shape for logits in reader(ids, places)] == [(6, count) for count in QUESTIONS]
    even = [torch.zeros(6, count) for count in QUESTIONS]
    asked = [np.log(count) * bool((row >= 0).any()) for count, row in zip(QUESTIONS, wanted.T, strict=True)]
    assert asked[-4:] == [0] * 4  # those about landscapes
    assert mean_of_losses(even, wanted).item() == pytest.approx(np.mean(asked), rel=1e-5)
    wanted[1:, 0] = OPEN  # the first question is now asked once, and counts no less
    assert mean_of_losses(even, wanted).item() == pytest.approx(np.mean(asked), rel=1e-5)


def test_states_are_those_of_77_tokens_and_do_not_depend_on_the_batch() -> None:
    encoder = build_text_encoder(SMALL, TOKENIZER).eval()
    texts = ["", "a red circle", "a house", "a blue background"]
    states = text_states(encoder, TOKENIZER, texts)
    assert states.shape == (4, 77, 16)
    torch.testing.assert_close(text_states(encoder, TOKENIZER, texts, batch=3), states)
    assert not torch.allclose(states[1], states[2])

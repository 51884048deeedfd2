# ruff: noqa: E402
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.captions import COLOUR_WORDS, SHAPE_WORDS, caption
from onnxflow.export.tiny_model.scenes import Background, Scene, Thing, random_scene


def test_a_caption_names_every_colour_and_shape() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        scene = random_scene(rng, 0.4)
        text = caption(scene, rng)
        for thing in scene.things:
            assert any(word in text for word in SHAPE_WORDS[thing.shape])
        for colour in [scene.background.first, *(thing.colour for thing in scene.things)]:
            assert any(word in text for word in COLOUR_WORDS.get(colour, (colour,)))


def test_captions_are_plain_lower_case_english() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        text = caption(random_scene(rng, 0.4), rng)
        assert text == text.lower() == text.strip()
        assert "  " not in text
        assert "a orange" not in text


def test_many_phrasings_of_one_scene() -> None:
    scene = Scene(Background("plain", "blue"), (Thing("circle", "red", 64, 64, 22, "small", ("top", "left")),))
    rng = np.random.default_rng(3)
    assert len({caption(scene, rng) for _ in range(200)}) > 50


def test_a_relation_is_said_from_either_side() -> None:
    left, right = Thing("star", "red", 36, 64, 20), Thing("heart", "pink", 92, 64, 20)
    rng = np.random.default_rng(4)
    for _ in range(100):
        text = caption(Scene(Background("plain", "blue"), (left, right), "left of"), rng)
        assert ("left of" in text) == (text.index("star") < text.index("heart"))
        assert ("right of" in text) != ("left of" in text)


def test_what_the_scene_leaves_open_is_not_said() -> None:
    scene = Scene(Background("gradient", "blue", "white", "vertical"), (Thing("star", "red", 64, 64, 22),))
    rng = np.random.default_rng(5)
    for _ in range(100):
        words = caption(scene, rng).split()
        assert not {"vertical", "small", "medium", "large", "left", "top", "middle"} & set(words)

# ruff: noqa: E402
import re

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from onnxflow.export.tiny_model.captions import COLOUR_WORDS, LAND_WORDS, SHAPE_WORDS, SKY_WORDS, caption
from onnxflow.export.tiny_model.landscapes import Landscape, random_landscape
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
        text = caption(random_landscape(rng) if rng.random() < 0.3 else random_scene(rng, 0.4), rng)
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


def test_inside_is_said_from_either_side() -> None:
    inner, outer = Thing("star", "red", 64, 64, 16), Thing("ring", "pink", 64, 64, 42)
    rng = np.random.default_rng(6)
    texts = [caption(Scene(Background("plain", "blue"), (inner, outer), "inside"), rng) for _ in range(300)]
    one, other = "a red star", "a pink (?:ring|donut)"
    ways = [f"{one} (inside|in|within) {other}", f"{other} (around|containing) {one}", f"{other} (with) {one} inside"]
    said = [match[1] for text in texts for way in ways if (match := re.search(way, text))]
    assert len(said) == len(texts)
    assert set(said) == {"inside", "in", "within", "around", "containing", "with"}
    assert 100 < sum(text.index("star") < text.index("pink") for text in texts) < 200


def test_a_landscape_caption_names_sky_land_and_landmark() -> None:
    rng = np.random.default_rng(7)
    for _ in range(300):
        landscape = random_landscape(rng)
        text = caption(landscape, rng)
        assert [sky for sky, words in SKY_WORDS.items() if any(word in text for word in words)] == [landscape.sky]
        assert [land for land, words in LAND_WORDS.items() if any(word in text for word in words)] == [landscape.land]
        named = [landmark for landmark in ("house", "tree") if f"a {landmark}" in text]
        assert named == ([landscape.landmark] if landscape.landmark else [])


@pytest.mark.parametrize("side", ["left", "middle", "right"])
def test_a_landscape_caption_names_the_side_only_where_it_is_said(side: str) -> None:
    rng = np.random.default_rng(8)
    for said in (True, False):
        landscape = Landscape("night", "sand", "tree", side, said, 64, 86, 5, 100)
        for _ in range(60):
            words = caption(landscape, rng).replace(",", "").split()
            assert [word for word in ("left", "middle", "right") if word in words] == ([side] if said else [])


def test_many_phrasings_of_one_landscape() -> None:
    landscape = Landscape("day", "snow", "house", "left", True, 32, 86, 5, 100)
    rng = np.random.default_rng(9)
    assert len({caption(landscape, rng) for _ in range(200)}) > 50

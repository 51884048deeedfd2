from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from onnxflow.export.tiny_model.config import read_recipe
from onnxflow.export.tiny_model.landscapes import Landscape
from onnxflow.export.tiny_model.prompts import held_out_landscapes, held_out_prompts
from onnxflow.export.tiny_model.renderer import render
from onnxflow.export.tiny_model.scenes import BACKGROUNDS, RELATIONS, Background, Scene, Thing
from onnxflow.export.tiny_model.score import Share, contact_sheet, count_right, count_right_landscapes

RECIPE = read_recipe()


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (Share(1, 3), "33.3 % of 3"),
        (Share(0, 7), "0.0 % of 7"),
        (Share(200, 200), "100.0 % of 200"),
        (Share(0, 0), "none asked"),
    ],
)
def test_a_share_is_said_in_per_cent(share: Share, text: str) -> None:
    assert str(share) == text


@pytest.mark.parametrize("two_objects", [0.0, 1.0])
def test_true_pictures_are_all_right(two_objects: float) -> None:
    scenes = [scene for scene, _ in held_out_prompts(RECIPE, 80, two_objects)]
    shares = count_right(np.stack([render(scene) for scene in scenes]), scenes)
    counted = {name: share for name, share in shares.items() if name.startswith("all_right")}
    assert all(share.right == share.of for share in counted.values())
    assert shares["all_right"] == Share(80, 80)
    assert shares["all_right, new pair"].of + shares["all_right, known pairs"].of == 80
    assert 0 < shares["all_right, new pair"].of < 80
    assert sum(shares[f"all_right, {kind}"].of for kind in BACKGROUNDS) == 80
    assert sum(shares[f"all_right, {relation}"].of for relation in RELATIONS) == 80 * two_objects
    assert shares["shapes"] == shares["colours"] == Share(80, 80)


def test_shares_are_of_those_that_were_asked() -> None:
    white = Background("plain", "white")
    star, ring = Thing("star", "red", 36, 64, 20), Thing("ring", "blue", 92, 64, 20)
    heart = Thing("heart", "red", 64, 64, 30, "large")  # a pair of colour and shape that was never trained
    pair = Scene(white, (star, ring), "left of")
    exchanged = Scene(white, (ring, star), "left of")
    scenes = [Scene(white, (heart,)), Scene(Background("striped", "white", "blue", "vertical"), (heart,)), exchanged]
    pictures = np.stack([render(scene) for scene in (scenes[0], scenes[0], pair)])
    shares = count_right(pictures, scenes)
    assert shares["all_right"] == Share(1, 3)
    assert shares["background"] == Share(2, 3)
    assert shares["relation"] == Share(0, 1)
    assert shares["all_right, plain"] == Share(1, 2)
    assert shares["all_right, striped"] == Share(0, 1)
    assert shares["all_right, gradient"] == Share(0, 0)
    assert shares["all_right, left of"] == Share(0, 1)
    assert shares["all_right, inside"] == Share(0, 0)
    assert shares["all_right, new pair"] == Share(1, 2)
    assert shares["all_right, known pairs"] == Share(0, 1)


def test_true_landscapes_are_all_right_and_others_are_not() -> None:
    landscapes = [landscape for landscape, _ in held_out_landscapes(RECIPE, 40)]
    pictures = np.stack([render(landscape) for landscape in landscapes])
    assert count_right_landscapes(pictures, landscapes)["all_right"] == Share(40, 40)
    places = {"x": 96.0, "horizon": 88.0, "slope": 5.0, "sun": 28.0}
    house = Landscape("sunset", "snow", "house", "right", True, **places)
    tree = Landscape("sunset", "snow", "tree", "right", True, **places)
    shares = count_right_landscapes(np.stack([render(house), render(tree)]), [house, house])
    assert (shares["sky"], shares["land"]) == (Share(2, 2), Share(2, 2))
    assert (shares["landmark"], shares["all_right"]) == (Share(1, 2), Share(1, 2))


def test_pictures_and_scenes_must_be_as_many() -> None:
    scenes = [scene for scene, _ in held_out_prompts(RECIPE, 2, 0.0)]
    with pytest.raises(ValueError, match="zip"):
        count_right(np.zeros((3, 128, 128, 3), np.uint8), scenes)


@pytest.mark.parametrize(
    ("count", "columns", "size"),
    [(6, 3, (3 * 12, 2 * 12)), (5, 3, (3 * 12, 2 * 12)), (3, 8, (3 * 12, 12)), (1, 1, (12, 12))],
)
def test_a_contact_sheet_has_every_picture_in_a_grey_frame(
    tmp_path: Path, count: int, columns: int, size: tuple[int, int]
) -> None:
    pictures = np.stack([np.full((8, 8, 3), 10 * index, np.uint8) for index in range(count)])
    contact_sheet(pictures, columns, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == size
        sheet = np.asarray(image)
    columns = size[0] // 12
    for index in range(count):
        y, x = 12 * (index // columns), 12 * (index % columns)
        np.testing.assert_array_equal(sheet[y + 2 : y + 10, x + 2 : x + 10], pictures[index])
    assert (sheet[:2] == 128).all() and (sheet[:, -2:] == 128).all()

# ruff: noqa: E402
import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from PIL import Image
from safetensors.torch import save_file

from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.controlnet import build_controlnet
from onnxflow.export.tiny_model.evaluate import Networks
from onnxflow.export.tiny_model.extras import agreement, judge_controlnet, judge_lora, paleness
from onnxflow.export.tiny_model.lora import FILE, add_lora, kohya_weights
from onnxflow.export.tiny_model.prompts import held_out_prompts
from onnxflow.export.tiny_model.renderer import render
from onnxflow.export.tiny_model.scenes import Background, Scene, Thing
from onnxflow.export.tiny_model.styles import edges


def drawn(shape: str, x: float, y: float, radius: float = 22) -> np.ndarray:
    return render(Scene(Background("plain", "white"), (Thing(shape, "blue", x, y, radius),)))[None]


def outline(picture: np.ndarray) -> np.ndarray:
    return np.stack([edges(one) for one in picture])


@pytest.mark.parametrize(
    ("colour", "wanted"),
    [
        ((255, 255, 255), 1),
        ((0, 0, 0), 0),
        ((255, 0, 255), 0),
        ((255, 140, 153), 140 / 255),
        ((140, 255, 200), 140 / 255),
    ],
)
def test_paleness_is_that_of_the_smallest_channel(colour: tuple[int, int, int], wanted: float) -> None:
    assert paleness(np.full((2, 8, 8, 3), colour, np.uint8)) == pytest.approx(wanted)


def test_paleness_is_a_mean_over_all_pixels_of_all_pictures() -> None:
    pictures = np.zeros((2, 8, 8, 3), np.uint8)
    pictures[1, :4] = 255
    assert paleness(pictures) == pytest.approx(0.25)


def test_a_picture_agrees_with_its_own_edges() -> None:
    picture = drawn("star", 64, 64)
    assert agreement(picture, outline(picture)) == 1


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, -1), (1, 1), (-2, 0)])
def test_a_shift_of_a_pixel_or_two_does_not_matter(dx: int, dy: int) -> None:
    picture = drawn("star", 64, 64)
    assert agreement(np.roll(picture, (dy, dx), (1, 2)), outline(picture)) == pytest.approx(1, abs=0.005)


def test_a_larger_shift_does() -> None:
    picture = drawn("square", 64, 64)
    assert agreement(np.roll(picture, 8, 2), outline(picture)) < 0.75


def test_an_unrelated_picture_does_not_agree() -> None:
    asked = outline(drawn("circle", 32, 32))
    assert agreement(drawn("square", 96, 96), asked) == 0
    assert agreement(np.full((1, 128, 128, 3), 200, np.uint8), asked) == 0


def test_missing_and_superfluous_edges_both_cost() -> None:
    one, both = Thing("circle", "blue", 36, 64, 20), Thing("circle", "blue", 92, 64, 20)
    alone = render(Scene(Background("plain", "white"), (one,)))[None]
    pair = render(Scene(Background("plain", "white"), (one, both)))[None]
    for picture, asked in ((alone, pair), (pair, alone)):  # half of the edges on one side, all on the other
        assert agreement(picture, outline(asked)) == pytest.approx(2 / 3, abs=0.01)


def test_agreement_is_a_mean_over_pictures() -> None:
    pictures = np.concatenate([drawn("circle", 32, 32), drawn("circle", 96, 96)])
    lines = outline(np.concatenate([drawn("circle", 32, 32), drawn("circle", 32, 32)]))
    assert agreement(pictures, lines) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="zip"):
        agreement(pictures, lines[:1])


def shares(line: str) -> tuple[str, str]:
    """The figures of a report's line, with the network and without it."""
    with_it, without = line.split(",")[:2]
    return with_it.split()[-1], without.split()[-1]


def pictures_of(path: Path) -> np.ndarray:
    """A contact sheet of one row."""
    with Image.open(path) as image:
        sheet = np.asarray(image)
    return np.stack([sheet[2:130, left + 2 : left + 130] for left in range(0, sheet.shape[1], 132)])


def test_networks_that_change_nothing_are_judged_like_the_denoiser_alone(
    untrained: tuple[Recipe, Networks], tmp_path: Path
) -> None:
    recipe, networks = untrained
    save_file(kohya_weights(add_lora(copy.deepcopy(networks.unet), 2)), tmp_path / FILE)
    (line,) = judge_lora(recipe, networks, tmp_path, 2)
    with_it, without = shares(line)
    assert with_it == without
    plain, pale = np.split(pictures_of(tmp_path / "lora.png"), 2)
    np.testing.assert_array_equal(pale, plain)

    controlnet = build_controlnet(recipe, networks.unet).eval()
    (line,) = judge_controlnet(recipe, networks, controlnet, tmp_path, 2)
    with_it, without = shares(line)
    assert with_it == without
    lines, led, free = np.split(pictures_of(tmp_path / "controlnet.png"), 3)
    np.testing.assert_array_equal(led, free)
    asked = [render(scene) for scene, _ in held_out_prompts(recipe, 2, 0.0)]
    np.testing.assert_array_equal(lines, outline(np.stack(asked))[..., None].repeat(3, -1) * 255)


def test_networks_that_change_something_are_judged_by_it(untrained: tuple[Recipe, Networks], tmp_path: Path) -> None:
    recipe, networks = untrained
    layers = add_lora(copy.deepcopy(networks.unet), 2)
    for layer in layers.values():
        layer.up.weight.data.fill_(0.5)
    save_file(kohya_weights(layers), tmp_path / FILE)
    judge_lora(recipe, networks, tmp_path, 2)
    plain, pale = np.split(pictures_of(tmp_path / "lora.png"), 2)
    assert (pale != plain).any((1, 2, 3)).all()

    controlnet = build_controlnet(recipe, networks.unet).eval()
    controlnet.controlnet_mid_block.bias.data.fill_(5)
    judge_controlnet(recipe, networks, controlnet, tmp_path, 2)
    _, led, free = np.split(pictures_of(tmp_path / "controlnet.png"), 3)
    assert (led != free).any((1, 2, 3)).all()

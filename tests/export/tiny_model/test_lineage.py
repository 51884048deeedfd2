# ruff: noqa: E402
from dataclasses import replace
from types import ModuleType

import pytest

torch = pytest.importorskip("torch")

from torch import nn

from onnxflow.export.tiny_model import lineage
from onnxflow.export.tiny_model.config import Recipe, read_recipe

RECIPE = read_recipe()


def test_another_weight_or_name_is_another_digest() -> None:
    network = nn.Linear(2, 3)
    before = lineage.weights_digest(network)
    assert lineage.weights_digest(network) == before
    assert lineage.weights_digest(network, network) != before
    with torch.no_grad():
        network.weight[0, 0] += 1e-6 + network.weight[0, 0] * 1e-6
    assert lineage.weights_digest(network) != before


def test_another_number_is_another_recipe_and_another_machine_is_not() -> None:
    line = lineage.recipe_line(RECIPE)
    assert lineage.recipe_line(replace(RECIPE, machine=replace(RECIPE.machine, workers=7))) == line
    for other in (
        replace(RECIPE, seed=RECIPE.seed + 1),
        replace(RECIPE, unet=replace(RECIPE.unet, steps=RECIPE.unet.steps + 1)),
        replace(RECIPE, controlnet=replace(RECIPE.controlnet, caption_dropout=0.5)),
    ):
        assert lineage.recipe_line(other) != line


def test_another_way_to_draw_is_other_data_and_another_comment_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def digest(source: str) -> str:
        lineage.data_digest.cache_clear()
        monkeypatch.setattr(lineage.inspect, "getsource", lambda module: source)
        return lineage.data_digest()

    try:
        assert digest("RADII = {'small': 20.0}") == digest("RADII = {'small':  20.0}  # pixels")
        assert digest("RADII = {'small': 20.0}") != digest("RADII = {'small': 21.0}")
    finally:
        monkeypatch.undo()
        lineage.data_digest.cache_clear()


def test_what_decides_the_pictures_counts() -> None:
    names = {module.__name__.rpartition(".")[2] for module in lineage._DATA if isinstance(module, ModuleType)}
    assert names == {"captions", "landscapes", "renderer", "scenes", "styles", "subjects"}
    assert set(Recipe.__slots__) >= {"seed", "data", "machine"}

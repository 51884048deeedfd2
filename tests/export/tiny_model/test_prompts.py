"""What is asked of the finished model; importing it loads no PyTorch, since a benchmark of the runtime needs it too."""

import subprocess
import sys
from dataclasses import replace

from onnxflow.export.tiny_model.config import read_recipe
from onnxflow.export.tiny_model.landscapes import is_held_out_landscape
from onnxflow.export.tiny_model.prompts import held_out_landscapes, held_out_prompts
from onnxflow.export.tiny_model.scenes import is_held_out

RECIPE = read_recipe()


def test_scenes_were_never_trained_and_are_as_many_as_asked() -> None:
    for two_objects, things in ((0.0, {1}), (1.0, {2}), (0.5, {1, 2})):
        asked = held_out_prompts(RECIPE, 60, two_objects)
        assert len(asked) == 60
        assert all(is_held_out(scene) for scene, _ in asked)
        assert {len(scene.things) for scene, _ in asked} == things


def test_landscapes_were_never_trained_and_are_as_many_as_asked() -> None:
    asked = held_out_landscapes(RECIPE, 60)
    assert len(asked) == 60
    assert all(is_held_out_landscape(landscape) for landscape, _ in asked)


def test_the_same_is_asked_every_time() -> None:
    assert held_out_prompts(RECIPE, 20, 0.5) == held_out_prompts(RECIPE, 20, 0.5)
    assert held_out_landscapes(RECIPE, 20) == held_out_landscapes(RECIPE, 20)


def test_another_seed_asks_for_something_else() -> None:
    other = replace(RECIPE, seed=RECIPE.seed + 1)
    for ask in (
        lambda recipe, seed: held_out_prompts(recipe, 20, 0.0, seed),
        lambda recipe, seed: held_out_landscapes(recipe, 20, seed),
    ):
        first = ask(RECIPE, 0)
        assert ask(RECIPE, 1) != first
        assert ask(other, 0) != first


def test_it_needs_no_torch() -> None:
    code = "import sys, onnxflow.export.tiny_model.score, onnxflow.export.tiny_model.prompts as p; "
    code += "print([m for m in ('torch', 'diffusers', 'transformers') if m in sys.modules], p.__name__)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[] onnxflow.export.tiny_model.prompts\n", done.stderr


def test_the_prompt_says_what_the_scene_has() -> None:
    for scene, text in held_out_prompts(RECIPE, 40, 0.0):
        (thing,) = scene.things
        assert thing.colour in text or (thing.colour == "purple" and "violet" in text)
        assert text == text.lower()

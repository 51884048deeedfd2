"""Prompts that the training never saw, and what their pictures must show. Needs no PyTorch."""

import numpy as np

from onnxflow.export.tiny_model.captions import caption
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.landscapes import Landscape, held_out_landscape
from onnxflow.export.tiny_model.scenes import Scene, held_out_scene


def held_out_prompts(recipe: Recipe, count: int, two_objects: float, seed: int = 0) -> list[tuple[Scene, str]]:
    """Scenes that the training never saw, with a caption each."""
    rng = np.random.default_rng([recipe.seed, recipe.evaluation.seed_offset, seed])
    scenes = [held_out_scene(rng, two_objects) for _ in range(count)]
    return [(scene, caption(scene, rng)) for scene in scenes]


def held_out_landscapes(recipe: Recipe, count: int, seed: int = 0) -> list[tuple[Landscape, str]]:
    """Landscapes that the training never saw, with a caption each."""
    rng = np.random.default_rng([recipe.seed, recipe.evaluation.seed_offset, 1, seed])
    landscapes = [held_out_landscape(rng) for _ in range(count)]
    return [(landscape, caption(landscape, rng)) for landscape in landscapes]

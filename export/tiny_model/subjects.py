"""Everything the model is trained to draw: scenes of shapes, and landscapes."""

import numpy as np

from onnxflow.export.tiny_model.config import DataRecipe
from onnxflow.export.tiny_model.landscapes import Landscape, training_landscape
from onnxflow.export.tiny_model.scenes import Scene, training_scene

Subject = Scene | Landscape


def training_subject(rng: np.random.Generator, data: DataRecipe) -> Subject:
    """A random scene or landscape that is not held out, in the recipe's proportions."""
    if rng.random() < data.landscapes:
        return training_landscape(rng)
    return training_scene(rng, data.two_objects)

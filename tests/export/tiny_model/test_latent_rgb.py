import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from onnxflow.export.tiny_model.latent_rgb import fit_rgb, write_rgb
from onnxflow.models.manifest import LatentRgb

FACTORS = np.array([[0.3, 0.1, 0.0], [0.0, 0.2, -0.1], [-0.1, 0.0, 0.25], [0.05, 0.05, 0.05]])
BIAS = np.array([0.1, 0.0, -0.1])


def test_the_map_that_pictures_were_made_with_is_found() -> None:
    rng = np.random.default_rng(1)
    latents = rng.uniform(-1, 1, (8, 4, 6, 5)).astype(np.float32)
    colours = (np.moveaxis(latents, 1, -1) @ FACTORS + BIAS + 1) * 127.5
    texture = rng.integers(-9, 10, (8, 48, 40, 3))  # within a cell; its mean is nearly zero
    pictures = np.rint(colours.repeat(8, 1).repeat(8, 2) + texture).clip(0, 255).astype(np.uint8)
    found = fit_rgb(latents, pictures)
    np.testing.assert_allclose(found.factors, FACTORS, atol=2e-3)
    np.testing.assert_allclose(found.bias, BIAS, atol=2e-3)
    assert all(number == round(number, 4) for row in (*found.factors, found.bias) for number in row)


def test_the_manifest_is_the_same_but_for_the_map(tmp_path: Path) -> None:
    path = tmp_path / "onnxflow.json"
    before = {"a": 1, "latent": {"channels": 1, "scale": 0.5}, "z": [2]}
    path.write_text(json.dumps(before, indent=2, sort_keys=True) + "\n")
    write_rgb(path, LatentRgb(((1.0, 2.0, 3.0),), (0.5, 0.5, 0.5)))
    after = json.loads(path.read_text())
    assert after["latent"].pop("rgb") == {"factors": [[1.0, 2.0, 3.0]], "bias": [0.5, 0.5, 0.5]}
    assert after == before

"""The colours of latents: the linear map that comes nearest to what the decoder makes of them, for previews."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from onnxflow.export.tiny_model.training import write_atomically
from onnxflow.models.manifest import LatentRgb

FACTOR = 8  # pixels a latent
DIGITS = 4  # a picture has 256 shades


def fit_rgb(latents: NDArray[np.float32], pictures: NDArray[np.uint8]) -> LatentRgb:
    """Least squares from scaled latents [n, c, h, w] to the mean colours of the pixels of the pictures [n, 8h, 8w, 3]
    that they decode to."""
    count, channels, height, width = latents.shape
    cells = pictures.reshape(count, height, FACTOR, width, FACTOR, 3).mean((2, 4)) / 127.5 - 1
    values = np.moveaxis(latents, 1, -1).reshape(-1, channels)
    known = np.concatenate([values, np.ones((len(values), 1))], 1, dtype=np.float64)
    found, *_ = np.linalg.lstsq(known, cells.reshape(-1, 3), rcond=None)
    *factors, bias = ([round(float(number), DIGITS) for number in row] for row in found)
    return LatentRgb(tuple(map(tuple, factors)), tuple(bias))


def write_rgb(path: Path, rgb: LatentRgb) -> None:
    """Add the map to a bundle's manifest, which stays as it is otherwise."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["latent"]["rgb"] = asdict(rgb)
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    write_atomically(path, lambda part: _write(part, text))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")

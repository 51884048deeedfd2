"""The denoiser's data: latents and captions of a pool of random scenes, computed once and kept in files of a
thousand."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from onnxflow.export.tiny_model.autoencoder import encode
from onnxflow.export.tiny_model.captions import caption
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.crew import ALONE, Crew
from onnxflow.export.tiny_model.device import tensor_of
from onnxflow.export.tiny_model.lineage import data_digest, weights_digest
from onnxflow.export.tiny_model.progress import Log
from onnxflow.export.tiny_model.renderer import jittered_palette, render
from onnxflow.export.tiny_model.subjects import training_subject
from onnxflow.export.tiny_model.training import write_atomically

_FILE = 1000
PHRASINGS = 4  # captions of every picture


@dataclass(frozen=True, slots=True)
class Pool:
    """Scaled latents [n, 4, h, w] float32 and PHRASINGS captions of each."""

    latents: Tensor
    captions: tuple[tuple[str, ...], ...]


def make_pool(recipe: Recipe, network: AutoencoderKL, folder: Path, log: Log, crew: Crew = ALONE) -> Pool:
    """The pool of this recipe and autoencoder below `folder`; files that are there are read instead of made."""
    depends = repr((recipe.seed, recipe.data, recipe.unet.pool, data_digest(), weights_digest(network.encoder)))
    folder = folder / f"pool-{hashlib.sha256(depends.encode()).hexdigest()[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{start:06d}.npz" for start in range(0, recipe.unet.pool, _FILE)]
    for index, path in enumerate(paths):
        if index % crew.count == crew.rank and not path.exists():
            start = index * _FILE
            end = min(start + _FILE, recipe.unet.pool)
            _make_file(recipe, network, path, start, end - start)
            log(f"pool: {end}/{recipe.unet.pool} pictures")  # the leader tells of its own files only
    crew.wait()
    latents, captions = [], []
    for path in paths:
        with np.load(path) as saved:
            latents.append(tensor_of(saved["latents"].astype(np.float32)))
            captions += [tuple(str(text) for text in texts) for texts in saved["captions"]]
    return Pool(torch.cat(latents), tuple(captions))


def _make_file(recipe: Recipe, network: AutoencoderKL, path: Path, start: int, count: int) -> None:
    rng = np.random.default_rng([recipe.seed, 77, start])
    subjects = [training_subject(rng, recipe.data) for _ in range(count)]
    pictures = [render(subject, jittered_palette(rng, recipe.data.jitter), recipe.data.size) for subject in subjects]
    latents = encode(network, np.stack(pictures)).cpu().numpy().astype(np.float16)
    captions = np.array([[caption(subject, rng) for _ in range(PHRASINGS)] for subject in subjects])

    def write(temporary: Path) -> None:
        file: BinaryIO
        with temporary.open("wb") as file:
            np.savez(file, latents=latents, captions=captions)

    write_atomically(path, write)

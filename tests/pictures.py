"""The workflows that tests draw tiny models with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxflow.api import run


def txt2img(name: str, width: int = 64, height: int = 64) -> dict[str, Any]:
    """Two pictures in two steps, with a weight in the prompt."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a (red:1.2) cat", "clip": ["1", 1]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["1", 1]}},
        "4": {"class_type": "EmptyLatentImage", "inputs": {"width": width, "height": height, "batch_size": 2}},
        "5": {
            "class_type": "KSampler",
            "inputs": {
                "seed": 1, "steps": 2, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
                "model": ["1", 0], "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0],
            },
        },
        "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
        "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "tiny"}},
    }  # fmt: skip


def img2img(name: str) -> dict[str, Any]:
    """A picture of 128 x 128 pixels that comes with the package, redrawn."""
    document = txt2img(name)
    document["5"]["inputs"] |= {"denoise": 0.6, "latent_image": ["4", 0]}
    document["8"] = {"class_type": "LoadImage", "inputs": {"image": "example.png"}}
    document["4"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["8", 0], "vae": ["1", 2]}}
    return document


def drawn(document: dict[str, Any], models: Path, output: Path) -> NDArray[np.uint8]:
    """The pictures of a run, [n, height, width, 3]."""
    return np.stack(run(document, models=[models], output_dir=output).images)


def far(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """The mean difference of pictures whose values are 0..1; every single value differs by a 255th at most."""
    difference = np.abs(one.astype(int) - other)
    assert difference.max() <= 1
    return float(difference.mean()) / 255

"""A checkpoint of Stable Diffusion 1.5's size and layout with random weights, always the same, in half precision: what
the goldens of goldens/sd15 were computed with by ComfyUI.

Each tensor is drawn from a generator seeded with its name, and scaled so that activations stay of size one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from onnxflow.models.tensors import encode_header

SHAPES: dict[str, list[int]] = json.loads(
    (Path(__file__).parent / "goldens" / "sd15_shapes.json").read_text(encoding="utf-8")
)
# The ends of residual branches are halved.
HALVED = (
    *("out_layers.3.weight", "to_out.0.weight", "ff.net.2.weight", "proj_out.weight", "conv2.weight"),
    *("self_attn.out_proj.weight", "mlp.fc2.weight"),
)


def write_checkpoint(path: Path) -> Path:
    """Write the file, 2.1 GB, unless it is there."""
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(encode_header({name: ("F16", tuple(shape)) for name, shape in SHAPES.items()}))
            for name, shape in SHAPES.items():
                file.write(tensor(name, tuple(shape)).data)
        part.rename(path)
    return path


def tensor(name: str, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """One tensor."""
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    values = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    if "_embedding.weight" in name:
        values *= np.float32(0.2 if "position" in name else 0.5)
    elif len(shape) > 1:
        values *= np.float32(_gain(name) / np.sqrt(np.prod(shape[1:], dtype=np.float64)))
    else:
        values *= np.float32(0.05)
        values += np.float32(1 if name.endswith(".weight") else 0)
    return values.astype(np.float16)


def _gain(name: str) -> float:
    if name == "first_stage_model.decoder.conv_out.weight":
        return 0.4
    return 0.5 if name.endswith(HALVED) else 1.0

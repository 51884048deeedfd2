"""ComfyUI 0.3.64's results of resizing and of image, latent and mask nodes (tests/goldens/ops.json and ops.npz).

A name's array is its result, or ``in_<name>`` an input: images [b,h,w,c], masks [b,h,w], latents [b,c,h,w].
"""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np

from onnxflow.values import Array

GOLDENS = Path(__file__).parent / "goldens"

EXACT = 0.0
"""For nearest-exact and lanczos."""
CLOSE = 5e-6
"""For all other methods, as a share of the largest absolute value."""


@functools.cache
def arguments() -> dict[str, dict[str, Any]]:
    """What each result was computed with, by its name."""
    entries = json.loads((GOLDENS / "ops.json").read_text(encoding="utf-8"))
    return {entry["key"]: entry["args"] for entry in entries}


@functools.cache
def arrays() -> dict[str, Array]:
    """All inputs and results by name."""
    with np.load(GOLDENS / "ops.npz") as found:
        return dict(found)


def tolerance(method: str) -> float:
    """How far from the result a method may be."""
    return EXACT if method in {"nearest-exact", "lanczos"} else CLOSE


def relative_error(found: Array, expected: Array) -> float:
    """The largest difference as a share of the largest expected absolute value; shape and type must agree."""
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    difference, largest = np.abs(found - expected).max(), np.abs(expected).max()
    return float(difference / largest) if largest else float(difference)

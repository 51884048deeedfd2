"""Reference results of ComfyUI 0.3.64 on CPU (tests/goldens) and the toy network they were made with."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxflow.sampling import Array, ModelSampling, Term, discrete_sampling, flow_sampling
from onnxflow.sampling.told import NOTHING, Told

GOLDENS = Path(__file__).parent.parent / "goldens"

_ONE, _THREE, _TENTH = np.float32(1), np.float32(3), np.float32(0.1)


class Golden:
    """One pair of files: ``facts`` from the .json, ``arrays`` from the .npz."""

    def __init__(self, name: str) -> None:
        self.facts: dict[str, Any] = json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))
        with np.load(GOLDENS / f"{name}.npz") as arrays:
            self.arrays: dict[str, Array] = dict(arrays)


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    """Reads a golden by name, once."""
    return functools.cache(Golden)


@pytest.fixture(scope="session")
def model_samplings() -> dict[str, ModelSampling]:
    """The model kinds the goldens cover, by their names there."""
    return {
        "sd15_eps": discrete_sampling(),
        "sd2_v": discrete_sampling("v_prediction"),
        "sdxl_eps": discrete_sampling(),
        "sdxl_v_zsnr": discrete_sampling("v_prediction", zero_snr=True),
        "flow_shift1": flow_sampling(1.0),
        "flow_shift3": flow_sampling(3.0),
    }


class Toy:
    """The goldens' network as a batch denoiser: x / (1 + s^2) + 0.1 sin(3 x) exp(-s) + the context's first number."""

    def __init__(self, model_sampling: ModelSampling) -> None:
        self.model_sampling = model_sampling
        self.calls: list[tuple[tuple[int, ...], tuple[int, ...]]] = []

    def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
        self.calls.append((x.shape, context.shape))
        c = context[:, 0, 0].reshape(-1, 1, 1, 1)
        toy: Array = x * (_ONE / (_ONE + sigma * sigma)) + _TENTH * np.sin(_THREE * x) * np.exp(-sigma) + c
        return toy


@pytest.fixture(scope="session")
def toy() -> type[Toy]:
    """The toy network's class: called with a ModelSampling."""
    return Toy


def _toy_term(c: float, tokens: int = 77, **options: float) -> Term:
    """A condition of the toy network."""
    return Term(np.full((1, tokens, 8), c, np.float32), **options)


@pytest.fixture(scope="session")
def toy_term() -> Callable[..., Term]:
    """Makes a condition of the toy network from its number c."""
    return _toy_term


def _ulp_distance(a: Any, b: Any) -> int:
    """The largest distance in float32 units in the last place; shapes and places of NaN must agree."""
    left, right = np.asarray(a, np.float32), np.asarray(b, np.float32)
    assert left.shape == right.shape
    assert np.array_equal(np.isnan(left), np.isnan(right))
    steps = np.abs(left.view(np.int32).astype(np.int64) - right.view(np.int32))[~np.isnan(right)]
    return int(steps.max(initial=0))


def _relative_error(a: Array, b: Array) -> float:
    """The largest difference as a share of the reference's largest absolute value."""
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(b).max())


@pytest.fixture(scope="session")
def ulp_distance() -> Callable[[Any, Any], int]:
    """Compares two arrays in units in the last place."""
    return _ulp_distance


@pytest.fixture(scope="session")
def relative_error() -> Callable[[Array, Array], float]:
    """Compares an array with a reference, relative to its largest value."""
    return _relative_error

"""What a component was asked at export, and what PyTorch answered: every variant of it must answer nearly the same.

A safetensors file a component, `reference/NAME.safetensors` in the bundle, with tensors `in.INPUT` and `out.OUTPUT`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import ModelError
from onnxflow.models.tensors import encode_tensors, open_tensors

_IN, _OUT = "in.", "out."
Arrays = Mapping[str, NDArray[Any]]


def reference_file(component: str) -> str:
    """Where a component's reference lies in its bundle."""
    return f"reference/{component}.safetensors"


@dataclass(frozen=True, slots=True)
class Reference:
    """Inputs and outputs by the component's own names."""

    inputs: Arrays
    outputs: Arrays

    def encode(self) -> bytes:
        """The bytes of its file."""
        given = {_IN + name: np.asarray(value) for name, value in self.inputs.items()}
        return encode_tensors(given | {_OUT + name: np.asarray(value) for name, value in self.outputs.items()})

    def error(self, outputs: Arrays) -> float:
        """How far other outputs are from these: the norm of the difference by the norm of the reference, of the output
        where that is largest; infinity for a NaN. ModelError for outputs of other names or shapes."""
        worst = 0.0
        for name, wanted in self.outputs.items():
            given = outputs.get(name)
            if given is None or given.shape != wanted.shape:
                shape = "nothing" if given is None else list(given.shape)
                raise ModelError(f"the output {name} is {shape}, expected {list(wanted.shape)}")
            difference = given.astype(np.float64) - wanted
            error = float(np.linalg.norm(difference) / max(float(np.linalg.norm(wanted)), 1e-12))
            worst = max(worst, error if np.isfinite(error) else float("inf"))
        return worst


def read_reference(path: Path) -> Reference:
    """A reference from its file; ModelError when it is missing or damaged."""
    file = open_tensors(path)
    found: dict[str, dict[str, NDArray[Any]]] = {_IN: {}, _OUT: {}}
    for name in file.tensors:
        for prefix, arrays in found.items():
            if name.startswith(prefix):
                arrays[name.removeprefix(prefix)] = file.read(name)
    if not found[_IN] or not found[_OUT]:
        raise ModelError("the reference has no inputs or no outputs", where=str(path), hint="export the model again")
    return Reference(found[_IN], found[_OUT])

"""Does an exported graph compute what the torch module computes? One figure: the largest relative error of any
output."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from onnxflow.cancel import CancelToken
from onnxflow.export.components import Component
from onnxflow.providers.session import CPU, SessionKey, load_graph


@dataclass(frozen=True, slots=True)
class _OneGraph:
    """A model of a single graph file, for the session builder."""

    path: Path
    identity: str = ""
    name: str = "export"

    def graph(self, component: str, variant: str) -> Path:
        """The file, whatever is asked for."""
        return self.path


def max_relative_error(component: Component, path: Path, variant: str = "fp32") -> float:
    """Largest difference to torch on the component's examples, divided by the largest value of that output; the worst
    output counts."""
    with torch.no_grad():
        found = component.module(*component.examples.values())
    expected = found if isinstance(found, tuple) else (found,)
    graph = load_graph(_OneGraph(path), SessionKey("", component.name, variant, CPU), CancelToken())
    try:
        given = graph.run({name: value.numpy() for name, value in component.examples.items()}, CancelToken())
    finally:
        graph.close()
    errors = []
    for name, wanted in zip(component.outputs, expected, strict=True):
        largest = float(np.abs(given[name] - wanted.numpy()).max())
        errors.append(largest / max(float(wanted.abs().max()), 1e-12))
    return max(errors, key=lambda error: float("inf") if np.isnan(error) else error)

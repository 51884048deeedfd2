"""Compares templates of real size with PyTorch: `python -m onnxflow.export.verify_templates [NAME ...]`.

Each network gets random weights in half precision, as checkpoints have them, which are written to a file; the template
runs on that file in place, PyTorch on what was written.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from onnxflow.cancel import CancelToken
from onnxflow.export.components import Component
from onnxflow.export.one_graph import OneGraph
from onnxflow.export.template import WRAPPED
from onnxflow.export.templates import REAL, Shapes, components_of
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.layout.place import Place
from onnxflow.models.network import located, network_of
from onnxflow.models.template import filled, read_template, template_folder
from onnxflow.models.tensors import encode_header
from onnxflow.models.weights import weights_of
from onnxflow.providers.session import LOW, SessionKey, load_graph

ALLOWED = 1e-5  # of the norm of what PyTorch gives
SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class Compared:
    """A template, and how far its outputs are from PyTorch's: of the one that is farthest, relative to its norm."""

    name: str
    error: float


def compare(names: list[str], folder: Path, shapes: Shapes = REAL) -> Iterator[Compared]:
    """Every template of those names in `folder`, all without names, one after the other."""
    for name, make in components_of(shapes).items():
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory() as work, torch.no_grad():
            yield Compared(name, _error(name, make(), folder, Path(work) / "weights.safetensors"))


def _error(name: str, component: Component, folder: Path, path: Path) -> float:
    _fill(component.module, path)
    weights = weights_of(path)
    wanted = read_template(folder, name).weights
    places = {key: Place(key, info.shape) for key in wanted if (info := weights.info(key))}
    network = network_of(component.name, name, places, weights, folder, None)
    graph = GraphFile(path, filled(read_template(folder, name), located(network, weights)), direct=True)
    session = load_graph(OneGraph(graph), SessionKey("", name, "fp32", loading=LOW), CancelToken())
    feeds = {key: value.numpy() for key, value in component.examples.items()}
    outputs = session.run(feeds, CancelToken())
    session.close()
    expected = component.module(*component.examples.values())
    pairs = zip(component.outputs, expected if isinstance(expected, tuple) else (expected,), strict=True)
    return max(_distance(outputs[key], value.numpy()) for key, value in pairs)


def _fill(module: nn.Module, path: Path) -> None:
    """Give the network random weights that half precision holds, and write them as they are named in the graph."""
    generator = torch.Generator().manual_seed(1)
    named = [(name, value) for name, value in module.named_parameters() if "token_embedding" not in name]
    shapes = {name.removeprefix("network.").removeprefix(WRAPPED): tuple(value.shape) for name, value in named}
    with open(path, "wb") as file:
        file.write(encode_header({name: ("F16", shape) for name, shape in shapes.items()}))
        for name, value in named:
            random = torch.randn(value.shape, generator=generator) * SPREAD
            if name.endswith("norm.weight") or ("norm" in name and name.endswith("weight")):
                random += 1
            half = random.half()
            file.write(half.numpy().tobytes())
            owner, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(owner), attribute, nn.Parameter(half.float(), requires_grad=False))


def _distance(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    difference = np.linalg.norm(found.astype(np.float64) - wanted)
    return float(difference / max(float(np.linalg.norm(wanted.astype(np.float64))), 1e-12))


def main() -> int:
    """Print every error; 1 when one is not allowed."""
    wrong = 0
    for one in compare(sys.argv[1:], template_folder()):
        wrong += not one.error <= ALLOWED
        print(f"{one.name}: {one.error:.1e} ({'right' if one.error <= ALLOWED else f'allowed is {ALLOWED:.0e}'})")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Compares templates of real size with PyTorch: `python -m onnxflow.export.verify_templates [NAME ...]`.

Each network gets random weights in half precision, as checkpoints have them, which are written to a file; the template
runs on that file in place, and in int8 on what an export makes of it, PyTorch on what was written.
"""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from onnxflow.cancel import CancelToken
from onnxflow.export.components import Component
from onnxflow.export.one_graph import OneGraph
from onnxflow.export.steps import ALLOWED as ALLOWED_BY_PRECISION
from onnxflow.export.template import WRAPPED
from onnxflow.export.template_bundle import write_graph
from onnxflow.export.templates import REAL, Shapes, components_of
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.layout.place import Place
from onnxflow.models.network import located, network_of
from onnxflow.models.onnx_file import FLOAT
from onnxflow.models.reference import Reference
from onnxflow.models.template import filled, read_template, template_folder
from onnxflow.models.tensors import encode_header
from onnxflow.models.weights import weights_of
from onnxflow.providers.session import LOW, SessionKey, load_graph

ALLOWED = {"fp32": 1e-5, "int8": ALLOWED_BY_PRECISION["int8"]}  # of the norm of what PyTorch gives
SPREAD = 0.02


@dataclass(frozen=True, slots=True)
class Compared:
    """A template in a precision, and how far its outputs are from PyTorch's: of the one that is farthest, relative to
    its norm."""

    name: str
    precision: str
    error: float

    @property
    def right(self) -> bool:
        """Whether that is no more than it may be."""
        return self.error <= ALLOWED[self.precision]


def compare(names: list[str], folder: Path, shapes: Shapes = REAL) -> Iterator[Compared]:
    """Every template of those names in `folder`, all without names, one after the other."""
    for name, make in components_of(shapes).items():
        if names and name not in names:
            continue
        with tempfile.TemporaryDirectory() as work, torch.no_grad():
            for precision, error in _errors(name, make(), folder, Path(work) / "weights.safetensors"):
                yield Compared(name, precision, error)


def _errors(name: str, component: Component, folder: Path, path: Path) -> Iterator[tuple[str, float]]:
    _fill(component.module, path)
    weights = weights_of(path)
    wanted = read_template(folder, name).weights
    places = {key: Place(key, weights.info(key).shape) for key in wanted if key in weights.owners}
    network = network_of(component.name, name, places, weights, folder, None)
    in_place = GraphFile(path, filled(read_template(folder, name), located(network, weights)), direct=True)
    exported = path.with_name("int8.onnx")
    write_graph(read_template(folder, name, "int8"), network.places, weights, FLOAT, exported)
    feeds = {key: value.numpy() for key, value in component.examples.items()}
    expected = component.module(*component.examples.values())
    named = zip(component.outputs, expected if isinstance(expected, tuple) else (expected,), strict=True)
    reference = Reference(feeds, {key: value.numpy() for key, value in named})
    for precision, graph in (("fp32", in_place), ("int8", GraphFile(exported, direct=True))):
        session = load_graph(OneGraph(graph), SessionKey("", name, precision, loading=LOW), CancelToken())
        yield precision, reference.error(session.run(feeds, CancelToken()))
        session.close()


def _fill(module: nn.Module, path: Path) -> None:
    """Give the network random weights that half precision holds, and write them as they are named in the graph."""
    generator = torch.Generator().manual_seed(1)
    named = [(name, value) for name, value in module.named_parameters() if "token_embedding" not in name]
    shapes = {name.removeprefix("network.").removeprefix(WRAPPED): tuple(value.shape) for name, value in named}
    with open(path, "wb") as file:
        file.write(encode_header({name: ("F16", shape) for name, shape in shapes.items()}))
        for name, value in named:
            random = torch.randn(value.shape, generator=generator) * SPREAD
            if "norm" in name and name.endswith("weight"):
                random += 1
            half = random.half()
            file.write(half.numpy().tobytes())
            owner, _, attribute = name.rpartition(".")
            setattr(module.get_submodule(owner), attribute, nn.Parameter(half.float(), requires_grad=False))


def main() -> int:
    """Print every error; 1 when one is not allowed."""
    wrong = 0
    for one in compare(sys.argv[1:], template_folder()):
        wrong += not one.right
        verdict = "right" if one.right else f"allowed is {ALLOWED[one.precision]:.0e}"
        print(f"{one.name}, {one.precision}: {one.error:.1e} ({verdict})", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())

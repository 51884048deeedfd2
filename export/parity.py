"""Does an exported graph compute what the torch module computes? And how long does it take?"""

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from numpy.typing import NDArray
from torch import nn

from onnxflow.cancel import CancelToken
from onnxflow.export.components import Component
from onnxflow.export.one_graph import OneGraph
from onnxflow.export.steps import Step
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.manifest import OWN
from onnxflow.models.reference import Reference
from onnxflow.providers.session import SessionKey, load_graph

Dims = Mapping[str, Sequence[str | int]]
CALLS = 3  # timed ones, after one that is not
LONG = 5.0  # seconds of timed calls after which no other is made


@contextmanager
def _own_attention(module: nn.Module) -> Iterator[None]:
    """Let Diffusers' networks compute attention as Diffusers does, not as it is exported: an error there must show."""
    fused = [layer for layer in module.modules() if isinstance(layer, Attention)]
    processors = [layer.processor for layer in fused]
    for layer in fused:
        layer.set_processor(AttnProcessor2_0())
    try:
        yield
    finally:
        for layer, processor in zip(fused, processors, strict=True):
            layer.set_processor(processor)


@torch.no_grad()
def reference_of(component: Component) -> Reference:
    """What torch gives for the component's examples, whose ControlNet residuals are cut to one pixel: they spread over
    the picture, and would be most of the file."""
    examples = {
        name: value[:, :, :1, :1] if name.endswith("residual") or "_residual_" in name else value
        for name, value in component.examples.items()
    }
    with _own_attention(component.module):
        found = component.module(*examples.values())
    outputs = found if isinstance(found, tuple) else (found,)
    return Reference(
        {name: np.ascontiguousarray(value.numpy()) for name, value in examples.items()},
        {name: value.numpy() for name, value in zip(component.outputs, outputs, strict=True)},
    )


def compare(path: Path, reference: Reference, inputs: Dims, step: Step, interface: str = OWN) -> tuple[float, float]:
    """The error of a graph relative to the reference, and the median seconds of a call of an ordinary size; `inputs`
    are its inputs with the names of their axes. No network is needed."""
    cancel = CancelToken()
    graph = load_graph(OneGraph(GraphFile(path), interface), SessionKey("", step.component, step.precision), cancel)
    try:
        error = reference.error(graph.run(reference.inputs, cancel))
        feeds = _ordinary(reference, inputs)
        seconds: list[float] = []
        while len(seconds) < CALLS and sum(seconds) < LONG:
            started = time.perf_counter()
            graph.run(feeds, cancel)
            seconds.append(time.perf_counter() - started)
    finally:
        graph.close()
    return error, statistics.median(seconds)


def _ordinary(reference: Reference, inputs: Dims) -> dict[str, NDArray[np.generic]]:
    """Inputs for a picture of 256 x 256 pixels, two at a time as guidance needs them, of a prompt of one chunk."""
    sizes = {"batch": 2, "tokens": 77, "height": 32, "width": 32, "image_height": 256, "image_width": 256}
    rng = np.random.default_rng(1)
    feeds: dict[str, NDArray[np.generic]] = {}
    for name, dims in inputs.items():
        shape = [dim if isinstance(dim, int) else sizes.get(dim, 1) for dim in dims]
        if reference.inputs[name].dtype.kind == "f":
            feeds[name] = rng.standard_normal(shape).astype(np.float32)
        else:
            feeds[name] = np.full(shape, 5, np.int64)
    return feeds

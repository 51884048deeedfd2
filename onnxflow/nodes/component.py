"""What a component of a model gives, checked: a file's graph may be of another model. For NaN its session looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import ModelError
from onnxflow.models.source import Source
from onnxflow.values import Array


def output_of(outputs: Mapping[str, NDArray[Any]], name: str, component: str, source: Source) -> NDArray[Any]:
    """The output ``name``; ModelError naming what the graph gives instead."""
    if name not in outputs:
        raise ModelError(
            f"the {component} of {source.name} does not give {name}, only {', '.join(outputs) or 'nothing'}",
            where=str(source.root),
            hint="export the model again with 'onnxflow export'",
        )
    return outputs[name]


def output_as(
    outputs: Mapping[str, NDArray[Any]], name: str, component: str, source: Source, shape: tuple[int, ...]
) -> Array:
    """The output ``name`` as float32 of ``shape``; ModelError when it is missing or of another shape."""
    found: Array = np.asarray(output_of(outputs, name, component, source), np.float32)
    if found.shape != shape:
        raise ModelError(
            f"the {component} of {source.name} gives {name} of shape {list(found.shape)}, expected {list(shape)}",
            where=str(source.root),
            hint="export the model again with 'onnxflow export'",
        )
    return found

"""A network's weights as another template wants them stored: rounded to fp16, or to int8 with a scale for each output,
tensor after tensor, with a bounded number of bytes in memory.

The names say how: ``X`` is a weight as it is, ``X.fp16`` the same in half precision; ``X.int8`` is in int8 with scales
``X.int8.scale`` for each index of its first axis; ``X.columns`` is the transposed matrix, or a convolution's as the
matrix of its patches [h * w * in, out], in int8 with scales ``X.columns.scale`` for each column. The rounding is that
of export/int8_weights.py: the largest value of an output is 127 steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import ModelError, shown
from onnxflow.models.layout.place import Place
from onnxflow.models.onnx_file import FLOAT, FLOAT16
from onnxflow.models.template import Template
from onnxflow.models.weights import Weights

INT8: Final = 3
"""TensorProto's number for bytes with a sign."""

HALF, BY_ROWS, BY_COLUMNS, SCALE = ".fp16", ".int8", ".columns", ".scale"
_LARGEST_HALF: Final = 65504.0

Write = Callable[[str, int, NDArray[Any]], None]
"""What is told a weight's name in the template, TensorProto's number of its type, and its values."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a weight in single precision, and the number of the first."""

    first: int
    values: NDArray[np.float32]


def write_weights(template: Template, places: Mapping[str, Place], weights: Weights, kind: int, write: Write) -> None:
    """Give ``write`` every weight that the template lacks; those that it wants as they are in type ``kind``, FLOAT or
    FLOAT16. ModelError for NaN and infinity."""
    for name in template.weights:
        if name.endswith((BY_ROWS + SCALE, BY_COLUMNS + SCALE)):
            continue  # written with what it scales
        _write(name, places, weights, kind, write)


def source_name(name: str) -> str:
    """The network's own name of a weight that a template wants stored in some way."""
    for suffix in (HALF, BY_ROWS + SCALE, BY_COLUMNS + SCALE, BY_ROWS, BY_COLUMNS):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


def _write(name: str, places: Mapping[str, Place], weights: Weights, kind: int, write: Write) -> None:
    place = places[source_name(name)]
    if name.endswith(BY_ROWS):
        values, scales = _by_rows(place, weights)
        write(name, INT8, values)
        write(name + SCALE, FLOAT, scales)
    elif name.endswith(BY_COLUMNS):
        values, scales = _by_columns(place, weights)
        write(name, INT8, values)
        write(name + SCALE, FLOAT, scales)
    else:
        half = name.endswith(HALF) or kind == FLOAT16
        whole = _whole(place, weights, np.float16 if half else np.float32)
        write(name, FLOAT16 if whole.dtype == np.float16 else FLOAT, whole)


def _whole(place: Place, weights: Weights, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """A weight in half precision, or in single where half cannot hold it; in single where that is asked for."""
    found = np.empty(place.shape, np.float32 if dtype is np.float32 else np.float16)
    for rows in _rows(place, weights):
        if dtype is np.float16 and np.abs(rows.values).max(initial=0) > _LARGEST_HALF:
            return _whole(place, weights, np.float32)
        found[rows.first : rows.first + len(rows.values)] = rows.values
    return found


def _by_rows(place: Place, weights: Weights) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    found = np.empty(place.shape, np.int8)
    scales = np.empty((place.shape[0], *[1] * (len(place.shape) - 1)), np.float32)
    for rows in _rows(place, weights):
        here = slice(rows.first, rows.first + len(rows.values))
        scales[here] = _scales(rows.values).reshape(-1, *scales.shape[1:])
        found[here] = np.rint(rows.values / scales[here])
    return found, scales


def _by_columns(place: Place, weights: Weights) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix [out, in] as [in, out], a convolution [out, in, h, w] as [h * w * in, out]; and a scale each column."""
    found = np.empty((prod(place.shape[1:]), place.shape[0]), np.int8)
    scales = np.empty(place.shape[0], np.float32)
    for rows in _rows(place, weights):
        here = slice(rows.first, rows.first + len(rows.values))
        scales[here] = _scales(rows.values)
        last = rows.values if rows.values.ndim == 2 else rows.values.transpose(0, 2, 3, 1)
        found[:, here] = np.rint(last.reshape(len(last), -1).T / scales[here])
    return found, scales


def _scales(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The step of each row so that its largest value is 127 steps; one for a row of zeros."""
    largest = np.abs(rows.reshape(len(rows), -1)).max(1)
    return np.where(largest > 0, largest / np.float32(127), np.float32(1))


def _rows(place: Place, weights: Weights) -> Iterator[Rows]:
    """A weight's rows, in the shape and order that the network has them; ModelError for NaN and infinity."""
    if place.transposed:
        whole = np.concatenate([np.asarray(block, np.float32) for _, block in weights.blocks(place.key)])
        yield _checked(Rows(0, np.ascontiguousarray(whole.T)), place, weights)
        return
    first, last = place.rows or (0, weights.info(place.key).shape[0] if place.shape else 1)
    for start, block in weights.blocks(place.key):
        values = np.asarray(block, np.float32)
        begin, end = max(first, start), min(last, start + len(values))
        if begin < end:
            part = values[begin - start : end - start].reshape(end - begin, *place.shape[1:])
            yield _checked(Rows(begin - first, part), place, weights)


def _checked(rows: Rows, place: Place, weights: Weights) -> Rows:
    if not np.isfinite(rows.values).all():
        raise ModelError(
            f"{shown(place.key)} holds NaN or infinity",
            where=str(weights.where),
            hint="the weights are damaged: get the model again",
        )
    return rows

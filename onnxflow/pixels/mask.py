"""Masks [b,h,w] grown, faded and put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from onnxflow.errors import InputError
from onnxflow.pixels.arrays import Array
from onnxflow.pixels.morphology import dilated, eroded


def _logical(combine: Callable[[Any, Any], Any]) -> Callable[[Array, Array], Array]:
    def made(one: Array, other: Array) -> Array:
        found: Array = combine(np.rint(one) != 0, np.rint(other) != 0).astype(np.float32)
        return found

    return made


OPERATIONS: Final[Mapping[str, Callable[[Array, Array], Array]]] = MappingProxyType(
    {
        "multiply": np.multiply,
        "add": np.add,
        "subtract": np.subtract,
        "and": _logical(np.logical_and),
        "or": _logical(np.logical_or),
        "xor": _logical(np.logical_xor),
    }
)
"""What is made of the destination and the source; the last three of their values rounded to no and yes."""


def combined(destination: Array, source: Array, x: int, y: int, operation: str) -> Array:
    """``destination`` [b,h,w] with what ``operation`` makes of it and ``source`` [1|b,h',w'] from column ``x`` and row
    ``y`` on, as far as it goes; in 0..1. InputError for batches that differ."""
    if len(source) not in (1, len(destination)):
        raise InputError(
            f"{len(source)} masks cannot be put on {len(destination)}", hint="use one, or as many as there are"
        )
    result = destination.copy()
    part = result[:, y : y + source.shape[1], x : x + source.shape[2]]
    if part.size:
        part[...] = OPERATIONS[operation](part, source[:, : part.shape[1], : part.shape[2]])
    return np.clip(result, 0, 1, out=result)


def grown(masks: Array, count: int, *, tapered: bool) -> Array:
    """``masks`` grown by ``count`` pixels, or shrunk by as many if it is negative: by squares, or ``tapered`` by
    diamonds, which is the largest, or smallest, of a pixel and its four neighbours ``count`` times."""
    if not count:
        return masks.copy()
    if not tapered:
        change = dilated if count > 0 else eroded
        side = 2 * max(masks.shape[1:], default=0) + 1  # a larger square sees no more
        return change(masks[..., np.newaxis], min(2 * abs(count) + 1, side))[..., 0]
    result = masks.copy()
    extreme: Any = np.maximum if count > 0 else np.minimum
    for index, mask in enumerate(result):
        result[index] = _diamond(mask, abs(count), extreme)
    return result


def _diamond(mask: Array, count: int, extreme: Any) -> Array:
    """The ``extreme`` of a pixel and its four neighbours, ``count`` times or until nothing changes."""
    for _ in range(count):
        after = mask.copy()
        extreme(after[1:], mask[:-1], out=after[1:])
        extreme(after[:-1], mask[1:], out=after[:-1])
        extreme(after[:, 1:], mask[:, :-1], out=after[:, 1:])
        extreme(after[:, :-1], mask[:, 1:], out=after[:, :-1])
        if np.array_equal(after, mask, equal_nan=True):
            break
        mask = after
    return mask

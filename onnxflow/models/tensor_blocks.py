"""A large tensor a few rows at a time, so that whoever converts it holds a bounded number of bytes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

from numpy.typing import NDArray

from onnxflow.models.stored_floats import WIDENED
from onnxflow.models.tensor_header import ITEM_BYTES
from onnxflow.models.tensors import TensorFile

BLOCK_BYTES: Final = 32 * 1024 * 1024
"""Bytes of a block, as it lies in memory."""


def tensor_blocks(file: TensorFile, name: str, most: int = BLOCK_BYTES) -> Iterator[tuple[int, NDArray[Any]]]:
    """The rows of a tensor in blocks of up to ``most`` bytes (but one row at least), each with its first row's number.

    The blocks are read, not mapped, so that no more than the blocks that the caller keeps are in memory. A tensor
    without dimensions is one block. ModelError when there is no such tensor, or, before any block, when the file
    changed since it was opened.
    """
    info = file.info(name)
    if not info.shape:
        yield 0, file.read(name)
        return
    item = 4 if info.dtype in WIDENED else ITEM_BYTES[info.dtype]
    step = max(1, most // max(1, math.prod(info.shape[1:]) * item))
    for start in range(0, info.shape[0], step):
        yield start, file.read_rows(name, start, min(start + step, info.shape[0]), copy=True)

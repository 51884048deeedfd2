"""Safetensors files without PyTorch: a reader that trusts nothing in the header (``tensor_header``), and a writer."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import ModelError, shown
from onnxflow.models.mapped_file import MappedFile
from onnxflow.models.stored_floats import WIDENED
from onnxflow.models.tensor_header import ITEM_BYTES, METADATA, TensorInfo, read_header

DTYPES: Final[Mapping[str, str]] = {
    "BOOL": "u1",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "F16": "<f2",
    "I32": "<i4",
    "U32": "<u4",
    "F32": "<f4",
    "F64": "<f8",
    "I64": "<i8",
    "U64": "<u8",
    # Floats that numpy lacks are read through their bits.
    "BF16": "<u2",
    "F8_E5M2": "u1",
    "F8_E4M3": "u1",
}
"""numpy's codes of the types as the file stores them."""

_NAMES: Final = {np.dtype(code): name for name, code in DTYPES.items() if name not in ("BOOL", *WIDENED)} | {
    np.dtype(np.bool_): "BOOL"
}


@dataclass(frozen=True, slots=True)
class TensorFile:
    """A safetensors file whose header was found sound; its tensors are read when asked for."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    source: MappedFile

    def read(self, name: str) -> NDArray[Any]:
        """A tensor, read-only: mapped from the file, BF16 and FP8 widened to float32.

        ModelError when there is none of that name, or the file changed since it was opened.
        """
        info = self.info(name)
        return self._array(info, info.shape, info.offset)

    def read_rows(self, name: str, start: int, stop: int, *, copy: bool = False) -> NDArray[Any]:
        """The rows from ``start`` to before ``stop`` of a tensor (its first dimension), as ``read`` gives them.

        ``copy`` reads them instead of mapping them: what was touched of a map counts as the process's memory until no
        array of the file is left. ModelError also when the tensor has not got these rows.
        """
        info = self.info(name)
        rows = info.shape[0] if info.shape else 0
        if not info.shape or not 0 <= start <= stop <= rows:
            raise ModelError(
                f"rows {start:,} to {stop:,} of tensor {shown(name)} were asked for, its shape is {list(info.shape)}",
                where=str(self.path),
                hint="the file is of another kind of model than it is taken for: use another",
            )
        offset = info.offset + start * (info.length // rows) if rows else info.offset
        return self._array(info, (stop - start, *info.shape[1:]), offset, copy)

    def info(self, name: str) -> TensorInfo:
        """Type, shape and place of a tensor; ModelError when there is none of that name."""
        info = self.tensors.get(name)
        if info is None:
            hint = f"it has {shown(list(self.tensors))}"
            raise ModelError(f"the file has no tensor {shown(name)}", where=str(self.path), hint=hint)
        return info

    def _array(self, info: TensorInfo, shape: tuple[int, ...], offset: int, copy: bool = False) -> NDArray[Any]:
        code = DTYPES[info.dtype]
        length = math.prod(shape) * ITEM_BYTES[info.dtype]
        array: NDArray[Any]
        if length:
            stored = self.source.read(offset, length) if copy else self.source.map(offset, length)
            array = np.ndarray(shape, code, stored)
        else:  # nothing to map, which mmap refuses
            self.source.check()
            array = np.zeros(shape, code)
        if info.dtype in WIDENED:
            array = WIDENED[info.dtype](array)
        elif info.dtype == "BOOL":
            array = np.asarray(array != 0)
        array.flags.writeable = False
        return array


def open_tensors(path: Path) -> TensorFile:
    """The tensors of a safetensors file; ModelError says what is wrong when it is missing, truncated or malformed."""
    source = MappedFile.open(path)
    header = read_header(source)
    return TensorFile(path, header.tensors, header.metadata, source)


def encode_tensors(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file, laid out as the reference implementation does: widest types first, then by name.

    ModelError when a tensor has a type, or a text a character, that the format cannot hold.
    """
    rank = list(ITEM_BYTES).index
    kinds = {name: _dtype_name(name, array) for name, array in tensors.items()}
    order = sorted(tensors, key=lambda name: (-rank(kinds[name]), name))
    header = encode_header({name: (kinds[name], tensors[name].shape) for name in order}, metadata)
    return b"".join([header, *[tensors[name].astype(DTYPES[kinds[name]], copy=False).tobytes() for name in order]])


def encode_header(
    tensors: Mapping[str, tuple[str, tuple[int, ...]]], metadata: Mapping[str, str] | None = None
) -> bytes:
    """All of a safetensors file that stands before the tensors, which follow each other in this order; each has its
    type, as the format calls it, and its shape. ModelError for a text that the format cannot hold."""
    header: dict[str, Any] = {} if metadata is None else {METADATA: dict(metadata)}
    at = 0
    for name, (kind, shape) in tensors.items():
        end = at + math.prod(shape) * ITEM_BYTES[kind]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [at, end]}
        at = end
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end]
        raise ModelError(f"a safetensors header cannot hold {bad!r}, half a surrogate pair") from None
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _dtype_name(name: str, array: NDArray[Any]) -> str:
    kind = _NAMES.get(array.dtype.newbyteorder("<"))
    if kind is None or name == METADATA:
        raise ModelError(
            f"tensor {shown(name)} of type {array.dtype} cannot be written",
            hint=f"types that can: {', '.join(_NAMES.values())}",
        )
    return kind

"""Safetensors files without PyTorch: a reader that trusts nothing in the header, and a writer.

The format: 8 bytes header length (little-endian), a JSON header ``{name: {dtype, shape, data_offsets}}`` with texts
under ``__metadata__`` if any, then the tensors, little-endian, in row-major order, with neither gaps nor overlaps
(https://github.com/huggingface/safetensors, README, "Format").
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import ModelError, shown

# In the order in which the reference implementation sorts tensors, widest last. BF16 is read through its bits.
DTYPES = {
    "BOOL": "u1",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "F16": "<f2",
    "BF16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "F32": "<f4",
    "F64": "<f8",
    "I64": "<i8",
    "U64": "<u8",
}
MAX_HEADER = 16 * 1024 * 1024
"""Bytes; the format allows 100 MB, but a header of 100,000 tensors needs 12 MB, and parsing takes 30 times its size."""
MAX_RANK = 32

_METADATA = "__metadata__"
_NAMES = {np.dtype(code): name for name, code in DTYPES.items() if name not in ("BOOL", "BF16")} | {
    np.dtype(np.bool_): "BOOL"
}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a file: its type as the file calls it, its shape, and where its bytes begin in the file."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class TensorFile:
    """A safetensors file whose header was found sound; its tensors are read when asked for."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]

    def read(self, name: str) -> NDArray[Any]:
        """A tensor, read-only: mapped from the file, BF16 converted to float32; ModelError when there is none."""
        info = self.tensors.get(name)
        if info is None:
            hint = f"it has {shown(list(self.tensors))}"
            raise ModelError(f"the file has no tensor {shown(name)}", where=str(self.path), hint=hint)
        array: NDArray[Any]
        code = DTYPES[info.dtype]
        try:
            if info.size == 0:  # nothing to map, which mmap refuses
                array = np.zeros(info.shape, code)
            else:
                array = np.asarray(np.memmap(self.path, code, "r", info.offset, info.shape))
        except (OSError, ValueError) as error:
            raise _damaged(self.path, f"tensor {shown(name)} cannot be mapped: {error}") from None
        if info.dtype == "BF16":
            # A BF16 number is the upper half of a float32.
            array = np.asarray(array.astype(np.uint32) << np.uint32(16)).view(np.float32)
        elif info.dtype == "BOOL":
            array = np.asarray(array != 0)
        array.flags.writeable = False
        return array


def open_tensors(path: Path) -> TensorFile:
    """The tensors of a safetensors file; ModelError says what is wrong when it is missing, truncated or malformed."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            prefix = file.read(8)
            if len(prefix) < 8:
                raise _damaged(path, f"it has {size} bytes, fewer than the 8 of its header's length")
            (length,) = struct.unpack("<Q", prefix)
            if length > size - 8:
                raise _damaged(path, f"its header claims {length:,} bytes, after its length there are {size - 8:,}")
            if length > MAX_HEADER:
                raise _damaged(path, f"its header has {length:,} bytes, allowed are {MAX_HEADER:,}")
            header = file.read(length)
    except OSError as error:
        raise ModelError(f"cannot read the file: {error.strerror or error}", where=str(path)) from None
    try:
        tensors, metadata = _parse(header, 8 + length, size)
    except ValueError as reason:
        raise _damaged(path, str(reason)) from None
    return TensorFile(path, tensors, metadata)


def encode_tensors(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file, laid out as the reference implementation does: widest types first, then by name.

    ModelError when a tensor has a type, or a text a character, that the format cannot hold.
    """
    rank = list(DTYPES).index
    kinds = {name: _dtype_name(name, array) for name, array in tensors.items()}
    order = sorted(tensors, key=lambda name: (-rank(kinds[name]), name))
    header: dict[str, Any] = {} if metadata is None else {_METADATA: dict(metadata)}
    bodies = []
    at = 0
    for name in order:
        array = tensors[name]
        body = array.astype(DTYPES[kinds[name]], copy=False).tobytes()
        header[name] = {"dtype": kinds[name], "shape": list(array.shape), "data_offsets": [at, at + len(body)]}
        bodies.append(body)
        at += len(body)
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end]
        raise ModelError(f"a safetensors header cannot hold {bad!r}, half a surrogate pair") from None
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *bodies])


def _dtype_name(name: str, array: NDArray[Any]) -> str:
    kind = _NAMES.get(array.dtype.newbyteorder("<"))
    if kind is None or name == _METADATA:
        raise ModelError(
            f"tensor {shown(name)} of type {array.dtype} cannot be written",
            hint=f"types that can: {', '.join(_NAMES.values())}",
        )
    return kind


def _damaged(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"not a sound safetensors file: {reason}",
        where=str(path),
        hint="the file is truncated, damaged or of another format: copy or download it again",
    )


def _parse(header: bytes, start: int, size: int) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Tensors and metadata of a header whose data begin at ``start`` of a file of ``size`` bytes; ValueError."""
    try:
        found = json.loads(header.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("its header is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"its header is not UTF-8: {error.reason} at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"its header is not JSON: {error.msg} at character {error.pos}") from None
    if not header.startswith(b"{") or not isinstance(found, dict):
        raise ValueError("its header is not a JSON object")
    metadata = found.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ValueError("its metadata are not texts by name")
    tensors = {name: _info(name, entry, start, size) for name, entry in found.items()}
    end = start
    for name, info in sorted(tensors.items(), key=lambda item: (item[1].offset, item[1].size)):
        if info.offset != end:
            begin = info.offset - start
            raise ValueError(f"tensor {shown(name)} begins at byte {begin:,} of the data, expected {end - start:,}")
        end += info.size
    if end != size:
        raise ValueError(f"its tensors take {end - start:,} bytes, the file has {size - start:,} for them")
    return tensors, metadata


def _info(name: str, entry: Any, start: int, size: int) -> TensorInfo:
    """One entry of the header; ValueError with what is wrong with it."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        raise ValueError(f"tensor {shown(name)} lacks one of dtype, shape, data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(kind, str) or kind not in DTYPES:
        raise ValueError(f"tensor {shown(name)} has the type {shown(kind)}, known are {', '.join(DTYPES)}")
    if not _whole_numbers(shape) or len(shape) > MAX_RANK:
        raise ValueError(f"tensor {shown(name)} has the shape {shown(shape)}, expected up to {MAX_RANK} whole numbers")
    if not _whole_numbers(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= size - start:
        raise ValueError(f"tensor {shown(name)} has the offsets {shown(offsets)}, the data have {size - start:,} bytes")
    begin, end = offsets
    expected = math.prod(shape) * np.dtype(DTYPES[kind]).itemsize
    if end - begin != expected:
        raise ValueError(f"tensor {shown(name)} has {end - begin:,} bytes, its type and shape need {shown(expected)}")
    return TensorInfo(kind, tuple(shape), start + begin, expected)


def _whole_numbers(values: Any) -> bool:
    """Whether ``values`` is a list of integers (no booleans) from 0 to 2**63 - 1."""
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header names something twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"its header holds {name}")

"""What an ONNX graph takes and gives, read from its file without an ONNX library and without its weights.

A file is a protocol-buffers message: fields of a number, a wire type and, of those that matter here, a length. All but
the declared inputs and outputs is skipped by seeking, so that a graph of 2 GB costs a few thousand reads. Field numbers
are those of onnx.proto.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from onnxflow.errors import ModelError
from onnxflow.models.json_object import MOST

FLOAT16: Final = 10
"""TensorProto's number for half precision."""

_LARGEST = 1024 * 1024  # no declaration of an input has more bytes
_MOST_FIELDS = 500_000
_GRAPH, _INITIALIZER, _INPUT, _OUTPUT = 7, 5, 11, 12
_FIXED = {1: 8, 5: 4}  # bytes by wire type


@dataclass(frozen=True, slots=True)
class Declared:
    """An input or output: its element type, TensorProto's number, and its sizes; a free one is a name, maybe empty."""

    kind: int
    shape: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class GraphHeader:
    """The inputs and outputs by name, in their order."""

    inputs: Mapping[str, Declared]
    outputs: Mapping[str, Declared]


def read_header(path: Path) -> GraphHeader:
    """The header of the graph in ``path``; ModelError when it cannot be read or is no ONNX graph."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            graphs = [(at, length) for number, at, length in _fields(file, size) if number == _GRAPH and length >= 0]
            if len(graphs) != 1:
                raise ValueError(f"it holds {len(graphs)} graphs")
            return _header(file, *graphs[0])
    except OSError as error:
        raise ModelError(
            f"cannot read {path.parent.name}/{path.name}: {error.strerror or error}",
            where=str(path),
            hint="copy the whole folder, or export the model again",
        ) from None
    except ValueError as error:
        raise ModelError(
            f"{path.parent.name}/{path.name} is no ONNX graph: {error}",
            where=str(path),
            hint="the file may be truncated: copy it again, or export the model again",
        ) from None


def _header(file: BinaryIO, start: int, length: int) -> GraphHeader:
    file.seek(start)
    found: dict[int, dict[str, Declared]] = {_INPUT: {}, _OUTPUT: {}}
    wanted = (_INPUT, _OUTPUT, _INITIALIZER)
    places = [field for field in _fields(file, start + length) if field[0] in wanted and field[2] >= 0]
    weights = {_name(file, at, size) for number, at, size in places if number == _INITIALIZER}
    for number, at, size in places:
        if number != _INITIALIZER:
            if size > _LARGEST:
                raise ValueError(f"a declaration has {size:,} bytes")
            file.seek(at)
            name, declared = _declared(file.read(size))
            if name not in weights:  # older exporters declare weights as inputs too
                found[number][name] = declared
    return GraphHeader(MappingProxyType(found[_INPUT]), MappingProxyType(found[_OUTPUT]))


def _name(file: BinaryIO, start: int, length: int) -> str:
    """The name (field 8) of a weight."""
    file.seek(start)
    for number, at, size in _fields(file, start + length):
        if number == 8 and size >= 0:
            file.seek(at)
            return file.read(min(size, _LARGEST)).decode("utf-8")
    return ""


def _declared(data: bytes) -> tuple[str, Declared]:
    """A ValueInfoProto: name (1), and in type (2) a tensor (1) of an element type (1) and a shape (2) of dims (1)."""
    entry = _message(data)
    tensor = _message(_last(_message(_last(entry, 2)), 1))
    dims = [_message(dim) for dim in _message(_last(tensor, 2)).get(1, []) if isinstance(dim, bytes)]
    kind = tensor.get(1, [0])[-1]
    shape = tuple(_size(dim) for dim in dims)
    return _last(entry, 1).decode("utf-8"), Declared(kind if isinstance(kind, int) else 0, shape)


def _size(dim: Mapping[int, list[int | bytes]]) -> str | int:
    """A size (1), or the name (2) of a free one."""
    size = dim.get(1, [0])[-1]
    return size if isinstance(size, int) and 0 < size <= MOST else _last(dim, 2).decode("utf-8")


def _last(message: Mapping[int, list[int | bytes]], number: int) -> bytes:
    found = message.get(number, [b""])[-1]
    return found if isinstance(found, bytes) else b""


def _message(data: bytes) -> dict[int, list[int | bytes]]:
    """All fields of a small message: numbers as they are, the rest as bytes."""
    file, found = BytesIO(data), dict[int, list[int | bytes]]()
    for number, at, length in _fields(file, len(data)):
        value = data[at : at + length] if length >= 0 else -length - 1
        found.setdefault(number, []).append(value)
    return found


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, place and length of every field up to ``end``; of a whole number n, which has none, -n - 1.

    The file may be moved between two of them. ValueError when a field does not end before ``end``.
    """
    at = file.tell()
    for _ in range(_MOST_FIELDS):
        if at == end:
            return
        file.seek(at)
        key, at = _varint(file, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(file, at)
            yield key >> 3, at, -value - 1
            continue
        length = _FIXED.get(kind, -1)
        if kind == 2:
            length, at = _varint(file, at)
        if length < 0 or at + length > end:
            raise ValueError("a field is damaged or cut off")
        yield key >> 3, at, length
        at += length
    raise ValueError("it does not end")


def _varint(file: BinaryIO, at: int) -> tuple[int, int]:
    """A whole number in groups of seven bits, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it is cut off")
        value |= (byte[0] & 127) << shift
        at += 1
        if byte[0] < 128:
            return value, at
    raise ValueError("a number has no end")

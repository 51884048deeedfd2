"""What an ONNX graph takes and gives, read from its file without an ONNX library and without its weights.

All but the declared inputs and outputs is passed over by seeking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final

from onnxflow.models.graph_file import GraphFile
from onnxflow.models.json_object import MOST
from onnxflow.models.onnx_file import INITIALIZER, INPUT, OUTPUT, open_graph
from onnxflow.models.protobuf import Message, all_bytes, fields, last_bytes, last_number, message

_LARGEST: Final = 1024 * 1024  # no declaration of an input has more bytes


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


def graph_header(graph: bytes) -> GraphHeader:
    """The header of a graph in memory, the bytes of its message alone; ValueError when it is none."""
    return _header(BytesIO(graph), 0, len(graph))


def read_header(path: Path | GraphFile) -> GraphHeader:
    """The header of the graph in a file; ModelError when it cannot be read or is no ONNX graph."""
    with open_graph(path) as graph:
        return _header(graph.file, graph.start, graph.end)


def _header(file: BinaryIO, start: int, end: int) -> GraphHeader:
    file.seek(start)
    found: dict[int, dict[str, Declared]] = {INPUT: {}, OUTPUT: {}}
    wanted = (INPUT, OUTPUT, INITIALIZER)
    places = [field for field in fields(file, end) if field[0] in wanted and field[2] >= 0]
    weights = {_name(file, at, size) for number, at, size in places if number == INITIALIZER}
    for number, at, size in places:
        if number != INITIALIZER:
            if size > _LARGEST:
                raise ValueError(f"a declaration has {size:,} bytes")
            file.seek(at)
            name, declared = _declared(file.read(size))
            if name not in weights:  # older exporters declare weights as inputs too
                found[number][name] = declared
    return GraphHeader(MappingProxyType(found[INPUT]), MappingProxyType(found[OUTPUT]))


def _name(file: BinaryIO, start: int, length: int) -> str:
    """The name (field 8) of a weight."""
    file.seek(start)
    for number, at, size in fields(file, start + length):
        if number == 8 and size >= 0:
            file.seek(at)
            return file.read(min(size, _LARGEST)).decode("utf-8")
    return ""


def _declared(data: bytes) -> tuple[str, Declared]:
    """A ValueInfoProto: name (1), and in type (2) a tensor (1) of an element type (1) and a shape (2) of dims (1)."""
    entry = message(data)
    tensor = message(last_bytes(message(last_bytes(entry, 2)), 1))
    shape = tuple(_size(message(dim)) for dim in all_bytes(message(last_bytes(tensor, 2)), 1))
    return last_bytes(entry, 1).decode("utf-8"), Declared(last_number(tensor, 1), shape)


def _size(dim: Message) -> str | int:
    """A size (1), or the name (2) of a free one."""
    size = last_number(dim, 1)
    return size if 0 < size <= MOST else last_bytes(dim, 2).decode("utf-8")

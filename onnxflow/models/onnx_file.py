"""An ONNX file, opened where its graph lies: the numbers of onnx.proto, and what is said when the file is no graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from onnxflow.errors import ModelError
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.protobuf import Message, fields

FLOAT: Final = 1
"""TensorProto's number for single precision."""
INT64: Final = 7
"""TensorProto's number for whole numbers."""
FLOAT16: Final = 10
"""TensorProto's number for half precision."""
BFLOAT16: Final = 16
"""TensorProto's number for the upper half of a single."""

GRAPH: Final = 7
"""ModelProto's number of its graph."""
OPSETS: Final = 8
"""ModelProto's number of its opset imports."""
NODE: Final = 1
"""GraphProto's number of a node."""
INITIALIZER: Final = 5
"""GraphProto's number of a weight."""
INPUT: Final = 11
"""GraphProto's number of an input."""
OUTPUT: Final = 12
"""GraphProto's number of an output."""
VALUE_INFO: Final = 13
"""GraphProto's number of the declaration of another value."""


@dataclass(frozen=True, slots=True)
class OpenGraph:
    """The whole file with its size, and where in it the graph's field begins, its message begins, and both end."""

    file: BinaryIO
    size: int
    begin: int
    start: int
    end: int


def graph_place(file: BinaryIO, size: int) -> tuple[int, int, int]:
    """Where the graph's field begins in a model of ``size`` bytes, its message begins, and both end; the file is read
    from where it stands. ValueError when it does not hold one graph."""
    graphs, begin = [], 0
    for number, at, length in fields(file, size):
        if number == GRAPH and length >= 0:
            graphs.append((begin, at, at + length))
        begin = at + max(length, 0)
    if len(graphs) != 1:
        raise ValueError(f"it holds {len(graphs)} graphs")
    return graphs[0]


def dims_of(tensor: Message) -> tuple[int, ...]:
    """The sizes of a TensorProto (field 1), each a field of its own or all packed into one."""
    sizes: list[int] = []
    for value in tensor.get(1, []):
        if isinstance(value, int):
            sizes.append(value)
            continue
        number = shift = 0
        for byte in value:
            number |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                sizes.append(number)
                number = shift = 0
    return tuple(sizes)


@contextmanager
def open_graph(source: Path | GraphFile) -> Iterator[OpenGraph]:
    """The file at a path, or what a GraphFile stands for, while its graph is read.

    ModelError when it cannot be read or does not hold one graph, and for every ValueError inside the ``with``.
    """
    path = source if isinstance(source, Path) else source.path
    data = None if isinstance(source, Path) else source.data
    try:
        with open(path, "rb") if data is None else BytesIO(data) as file:
            size = file.seek(0, 2)
            file.seek(0)
            yield OpenGraph(file, size, *graph_place(file, size))
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

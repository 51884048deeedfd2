"""A template: the graph of one component without its weights, and how one is filled with a file's.

Templates are data of the package, one file a component and precision, compressed ONNX (export/template.py makes them).
In the file a weight has a name, a type and a shape, and lies nowhere. Filling says of each in which type it lies where
in a file beside: ONNX Runtime maps that file, and nothing is copied.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Final

from onnxflow.errors import ModelError
from onnxflow.models.onnx_file import GRAPH, INITIALIZER, dims_of, graph_place
from onnxflow.models.protobuf import all_bytes, encoded, fields, last_bytes, last_number, message, prefix

SUFFIX: Final = ".onnx.gz"
DEFAULT: Final = "fp32"

_EXTERNAL: Final = 1
_LARGEST: Final = 64 * 1024 * 1024  # bytes of a template, which has no weights


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight that a template lacks: its shape and TensorProto's number of its type."""

    shape: tuple[int, ...]
    kind: int


@dataclass(frozen=True, slots=True)
class Stored:
    """Where a weight lies: TensorProto's number of its type, its shape, the file's name, its first byte and its length
    there; or the bytes themselves, and no file."""

    kind: int
    shape: tuple[int, ...]
    location: str
    offset: int
    length: int
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A graph in pieces: the model around it, the graph without the weights that lie nowhere, and these by name."""

    name: str
    head: bytes
    graph: bytes
    rest: bytes
    weights: Mapping[str, Weight]


def template_folder() -> Path:
    """Where the package's own templates lie."""
    return Path(__file__).resolve().parent / "templates"


def template_file(folder: Path, name: str, precision: str = DEFAULT) -> Path:
    """The file of a template in a precision."""
    return folder / (name + ("" if precision == DEFAULT else f"-{precision}") + SUFFIX)


def read_template(folder: Path, name: str, precision: str = DEFAULT) -> Template:
    """The template ``name`` in a precision; ModelError when it is missing or damaged."""
    path = template_file(folder, name, precision)
    try:
        status = path.stat()
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    return _read(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _read(path: Path, size: int, changed: int) -> Template:
    try:
        with gzip.open(path, "rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST:,} bytes")
        return _parsed(path.name.removesuffix(SUFFIX), data)
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise _unreadable(path, str(error)) from None


def filled(template: Template, stored: Mapping[str, Stored]) -> bytes:
    """The template's graph with all its weights, as bytes of an ONNX file that lies beside those of the weights."""
    tensors = b"".join(encoded(INITIALIZER, _tensor(name, stored[name])) for name in template.weights)
    graph = prefix(GRAPH, len(template.graph) + len(tensors))
    return b"".join([template.head, graph, template.graph, tensors, template.rest])


def _parsed(name: str, data: bytes) -> Template:
    file = BytesIO(data)
    begin, start, end = graph_place(file, len(data))
    pieces, weights, kept = [], dict[str, Weight](), start
    file.seek(start)
    before = start
    for number, at, length in fields(file, end):
        if number == INITIALIZER and length >= 0:
            tensor = message(data[at : at + length])
            if last_number(tensor, 14) == _EXTERNAL and not all_bytes(tensor, 13):
                weights[last_bytes(tensor, 8).decode("utf-8")] = Weight(dims_of(tensor), last_number(tensor, 2))
                pieces.append(data[kept:before])
                kept = at + length
        before = at + max(length, 0)
    pieces.append(data[kept:end])
    return Template(name, data[:begin], b"".join(pieces), data[end:], MappingProxyType(weights))


def _tensor(name: str, stored: Stored) -> bytes:
    """A TensorProto: sizes (1), type (2), name (8), and its bytes (9) or where they lie (13, 14)."""
    sizes = b"".join(encoded(1, size) for size in stored.shape)
    head = sizes + encoded(2, stored.kind) + encoded(8, name.encode())
    if stored.content is not None:
        return head + encoded(9, stored.content)
    places = {"location": stored.location, "offset": str(stored.offset), "length": str(stored.length)}
    entries = (encoded(1, key.encode()) + encoded(2, value.encode()) for key, value in places.items())
    return head + b"".join(encoded(13, entry) for entry in entries) + encoded(14, _EXTERNAL)


def _unreadable(path: Path, reason: str) -> ModelError:
    return ModelError(
        f"the template {path.name} cannot be read: {reason}",
        where=str(path),
        hint="install onnxflow again: templates are part of it",
    )

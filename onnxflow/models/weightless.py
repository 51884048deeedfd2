"""A graph apart from its weights: what is optimised once and kept holds none, and gets those of the file at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Final

from onnxflow.models.graph_file import GraphFile
from onnxflow.models.onnx_file import GRAPH, INITIALIZER, INPUT, dims_of, graph_place, open_graph
from onnxflow.models.protobuf import encoded, fields, last_bytes, last_number, message, prefix

_CONSTANT: Final = 65536  # bytes of the largest tensor that is part of a graph
_LARGEST: Final = 64 * 1024 * 1024  # bytes of a graph whose weights lie elsewhere


@dataclass(frozen=True, slots=True)
class Weightless:
    """The bytes of a model whose graph takes its weights as inputs, and the weights, by name, as TensorProtos that say
    where each lies."""

    model: bytes
    weights: Mapping[str, bytes]


def weightless(source: Path | GraphFile) -> Weightless | None:
    """A model apart from the weights that lie in files; None when it has none, or is too large without them. ModelError
    when it is no graph."""
    with open_graph(source) as graph:
        if graph.size > _LARGEST:
            return None
        graph.file.seek(0)
        data = graph.file.read()
        kept, weights = _split(data, graph.start, graph.end, INITIALIZER)
        found = {last_bytes(message(tensor), 8).decode("utf-8"): tensor for tensor in weights}
        if not found:
            return None
        inputs = b"".join(encoded(INPUT, _declared(tensor)) for tensor in found.values())
        return Weightless(_joined(data, graph.begin, graph.end, kept + inputs), found)


def with_weights(model: bytes, weights: Mapping[str, bytes]) -> bytes:
    """A model with its weights in the place of the inputs of their names; ValueError when it lacks one."""
    begin, start, end = graph_place(BytesIO(model), len(model))
    kept, inputs = _split(model, start, end, INPUT)
    names = {last_bytes(message(entry), 1).decode("utf-8"): entry for entry in inputs}
    if not weights.keys() <= names.keys():
        raise ValueError("it is another graph")
    own = b"".join(encoded(INPUT, entry) for name, entry in names.items() if name not in weights)
    tensors = b"".join(encoded(INITIALIZER, tensor) for tensor in weights.values())
    return _joined(model, begin, end, kept + own + tensors)


def _split(data: bytes, start: int, end: int, wanted: int) -> tuple[bytes, list[bytes]]:
    """A graph's message without some of its fields, and these: all inputs, or the weights."""
    file, pieces, taken, before = BytesIO(data), [], [], start
    file.seek(start)
    kept = start
    for number, at, length in fields(file, end):
        stop = at + max(length, 0)
        if number == wanted and length >= 0 and (wanted == INPUT or _is_weight(data[at:stop])):
            taken.append(data[at:stop])
            pieces.append(data[kept:before])
            kept = stop
        before = stop
    pieces.append(data[kept:end])
    return b"".join(pieces), taken


def _is_weight(tensor: bytes) -> bool:
    """Whether a tensor lies in another file, or is as large as weights are: a matrix that had to be turned around."""
    return len(tensor) > _CONSTANT or last_number(message(tensor), 14) == 1


def _declared(tensor: bytes) -> bytes:
    """A ValueInfoProto of a TensorProto's name (8), sizes (1) and type (2)."""
    entry = message(tensor)
    sizes = dims_of(entry)
    dims = b"".join(encoded(1, encoded(1, size)) for size in sizes)
    kind = encoded(1, last_number(entry, 2)) + encoded(2, dims)
    return encoded(1, last_bytes(entry, 8)) + encoded(2, encoded(1, kind))


def _joined(data: bytes, begin: int, end: int, graph: bytes) -> bytes:
    return b"".join([data[:begin], prefix(GRAPH, len(graph)), graph, data[end:]])

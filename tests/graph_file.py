"""ONNX files of declared inputs and outputs without nodes, written byte by byte: no ONNX library is in reach."""

from __future__ import annotations

from collections.abc import Mapping

FLOAT, INT64, HALF = 1, 7, 10
Declared = tuple[int, tuple[str | int | None, ...]]
"""TensorProto's number of the type, and the sizes: whole numbers, names, or nothing."""


def varint(value: int) -> bytes:
    """A whole number in groups of seven bits, the last one marked."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def field(number: int, content: bytes | int) -> bytes:
    """A field of a message: a whole number, or bytes with their length."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def value_info(name: str, declared: Declared) -> bytes:
    """The declaration of an input or output."""
    kind, shape = declared
    dims = b"".join(
        field(1, field(1, dim) if isinstance(dim, int) else field(2, dim.encode()) if dim is not None else b"")
        for dim in shape
    )
    tensor = field(1, kind) + field(2, dims)
    return field(1, name.encode()) + field(2, field(1, tensor))


def graph_file(
    inputs: Mapping[str, Declared], outputs: Mapping[str, Declared], weights: Mapping[str, bytes] | None = None
) -> bytes:
    """The bytes of a model.onnx."""
    graph = field(2, b"tiny")
    for name, data in (weights or {}).items():
        graph += field(5, field(2, FLOAT) + field(8, name.encode()) + field(9, data))
    graph += b"".join(field(11, value_info(name, declared)) for name, declared in inputs.items())
    graph += b"".join(field(12, value_info(name, declared)) for name, declared in outputs.items())
    return field(1, 8) + field(2, b"test") + field(7, graph) + field(8, field(2, 17))

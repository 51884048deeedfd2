"""ONNX files, written byte by byte: no ONNX library is in reach."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

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


def attribute(name: str, value: int | float | str | bytes | Sequence[int]) -> bytes:
    """An AttributeProto; bytes are a TensorProto."""
    match value:
        case int():
            content, kind = field(3, value), 2
        case float():
            content, kind = varint(2 << 3 | 5) + struct.pack("<f", value), 1
        case str():
            content, kind = field(4, value.encode()), 3
        case bytes():
            content, kind = field(5, value), 4
        case _:
            content, kind = b"".join(field(8, item) for item in value), 7
    return field(1, name.encode()) + content + field(20, kind)


def node(
    op: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    domain: str = "",
    name: str = "",
    **attributes: int | float | str | bytes | Sequence[int],
) -> bytes:
    """A NodeProto."""
    content = b"".join(field(1, item.encode()) for item in inputs)
    content += b"".join(field(2, item.encode()) for item in outputs)
    content += field(3, name.encode()) + field(4, op.encode()) + field(7, domain.encode())
    return content + b"".join(field(5, attribute(key, value)) for key, value in attributes.items())


def tensor(name: str, kind: int, shape: Sequence[int], data: bytes | str) -> bytes:
    """A TensorProto with its bytes, or with the name of the file that is nothing but them."""
    content = b"".join(field(1, size) for size in shape) + field(2, kind) + field(8, name.encode())
    if isinstance(data, bytes):
        return content + field(9, data)
    return content + field(13, field(1, b"location") + field(2, data.encode())) + field(14, 1)


def graph_file(
    inputs: Mapping[str, Declared],
    outputs: Mapping[str, Declared],
    weights: Mapping[str, bytes] | None = None,
    *,
    nodes: Iterable[bytes] = (),
    tensors: Iterable[bytes] = (),
    opset: int = 17,
) -> bytes:
    """The bytes of a model.onnx; ``weights`` are tensors without sizes."""
    graph = b"".join(field(1, content) for content in nodes) + field(2, b"tiny")
    for name, data in (weights or {}).items():
        graph += field(5, field(2, FLOAT) + field(8, name.encode()) + field(9, data))
    graph += b"".join(field(5, content) for content in tensors)
    graph += b"".join(field(11, value_info(name, declared)) for name, declared in inputs.items())
    graph += b"".join(field(12, value_info(name, declared)) for name, declared in outputs.items())
    imports = field(8, field(2, opset)) + field(8, field(1, b"com.microsoft") + field(2, 1))
    return field(1, 8) + field(2, b"test") + field(7, graph) + imports

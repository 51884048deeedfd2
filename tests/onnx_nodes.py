"""The operators of an ONNX file; no ONNX library is in reach."""

from __future__ import annotations

from collections.abc import Iterator


def operators_in(model: bytes) -> frozenset[str]:
    """The names of a model's operators, of inner graphs as well, their domain before them unless it is ONNX's own."""
    return frozenset(operator for graph in _fields(model, 7) for operator in _operators(graph))


def _operators(graph: bytes) -> Iterator[str]:
    """Names of a GraphProto's operators; numbers are those of onnx.proto."""
    for node in _fields(graph, 1):
        (name,), domain = _fields(node, 4), b"".join(_fields(node, 7)).decode()
        yield f"{domain}:{name.decode()}" if domain else name.decode()
        for attribute in _fields(node, 5):
            for inner in (*_fields(attribute, 6), *_fields(attribute, 11)):
                yield from _operators(inner)


def _fields(message: bytes, wanted: int) -> list[bytes]:
    """The contents of a message's fields of one number that have a length."""
    found, at = [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                _, at = _varint(message, at)
            case 2:
                length, at = _varint(message, at)
                if tag >> 3 == wanted:
                    found.append(message[at : at + length])
                at += length
            case wire:
                at += {1: 8, 5: 4}[wire]
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
        if byte < 128:
            return value, at

"""Protocol buffers' wire format: a reader that skips what nobody asks for, and a writer for small messages.

A message is a row of fields: a number, a wire type and, of those that matter here, a length. A reader passes over a
field by seeking, so that a file of 2 GB costs a few thousand reads; over bytes in memory, a ``BytesIO`` is such a file.
Groups, which ONNX does not have, are damage. Bytes that are no message are a ValueError.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import BinaryIO, Final

Message = Mapping[int, list[int | bytes]]
"""The fields of a small message by number: whole numbers as they are, the rest as bytes."""

_MOST_FIELDS: Final = 500_000
_FIXED: Final = {1: 8, 5: 4}  # bytes by wire type


def fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
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


def message(data: bytes) -> Message:
    """All fields of a small message; ValueError when it is none."""
    file, found = BytesIO(data), dict[int, list[int | bytes]]()
    for number, at, length in fields(file, len(data)):
        value = data[at : at + length] if length >= 0 else -length - 1
        found.setdefault(number, []).append(value)
    return found


def all_bytes(found: Message, number: int) -> list[bytes]:
    """Every field of that number that is bytes."""
    return [value for value in found.get(number, []) if isinstance(value, bytes)]


def last_bytes(found: Message, number: int) -> bytes:
    """The last field of that number, which is the one that counts; empty when there is none, or it is a number."""
    value = found.get(number, [b""])[-1]
    return value if isinstance(value, bytes) else b""


def last_number(found: Message, number: int) -> int:
    """The same of a field that is a whole number, zero or more; 0 when there is none."""
    value = found.get(number, [0])[-1]
    return value if isinstance(value, int) else 0


def encoded(number: int, content: int | bytes) -> bytes:
    """One field: a whole number, zero or more, or bytes with their length."""
    if isinstance(content, int):
        return _groups(number << 3) + _groups(content)
    return prefix(number, len(content)) + content


def prefix(number: int, length: int) -> bytes:
    """What stands before ``length`` bytes that are a field's content."""
    return _groups(number << 3 | 2) + _groups(length)


def _groups(value: int) -> bytes:
    """A whole number in groups of seven bits, lowest first; all but the last are marked."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


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

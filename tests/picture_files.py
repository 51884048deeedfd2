"""Picture files made by hand, part by part, so that each may be wrong."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

SIGNATURE = b"\x89PNG\r\n\x1a\n"
USER_COMMENT = 0x9286
EXIF_DIRECTORY = 0x8769


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(before: bytes = b"", after: bytes = b"") -> bytes:
    """A grey pixel with chunks before and after it."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return SIGNATURE + header + before + chunk(b"IDAT", zlib.compress(b"\0\0")) + after + chunk(b"IEND", b"")


def tiff(tags: Mapping[int, bytes], order: str = "<", exif: Mapping[int, bytes] | None = None) -> bytes:
    """A TIFF header and a directory of ASCII values, with an Exif directory of undefined ones behind it."""
    start = 8
    first = _directory(start, tags, 2, order, pointer=None if exif is None else 0)
    if exif is not None:
        place = start + len(first)
        first = _directory(start, tags, 2, order, pointer=place) + _directory(place, exif, 7, order)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", start) + first


def _directory(start: int, tags: Mapping[int, bytes], kind: int, order: str, pointer: int | None = None) -> bytes:
    count = len(tags) + (pointer is not None)
    end = start + 2 + 12 * count + 4
    entries, values = struct.pack(order + "H", count), b""
    for tag, value in tags.items():
        inside = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack(order + "I", end + len(values))
        entries += struct.pack(order + "HHI", tag, kind, len(value)) + inside
        values += value if len(value) > 4 else b""
    if pointer is not None:
        entries += struct.pack(order + "HHII", EXIF_DIRECTORY, 4, 1, pointer)
    return entries + bytes(4) + values


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """A WebP file of these chunks."""
    body = b"WEBP"
    for kind, data in chunks:
        body += kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG file of these segments, and a scan without pixels."""
    parts = [bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body for marker, body in segments]
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xda\0\2\xff\xd9"

"""The texts of a PNG file: tEXt, zTXt and iTXt (PNG, third edition, 11.3.3) and ComfyUI's private comf chunks."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from onnxflow.workflow.carried import KEYS, MAX_PARTS, Carried, Damaged, Unbounded, utf8_or_latin1

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

_TEXTS: Final = (b"tEXt", b"zTXt", b"iTXt", b"comf")
_PIXELS: Final = (b"IDAT", b"fdAT")
_USUAL_PIXELS: Final = 1024
"""Bytes: encoders cut pixels into chunks of 8 KiB or more, so a large picture has many; only small ones count."""


def png_texts(data: memoryview) -> Iterator[Carried]:
    """The texts called one of KEYS, in the file's order, before the pixels or after them; checksums are not looked at.

    Damaged where the file is cut off, Unbounded with more than MAX_PARTS chunks.
    """
    if bytes(data[: len(SIGNATURE)]) != SIGNATURE:
        raise Damaged("its first 8 bytes were changed, as a transfer in text mode does")
    at, parts = len(SIGNATURE), 0
    while True:
        if at + 8 > len(data):
            raise Damaged(f"it is cut off after {len(data):,} bytes, before its end")
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return
        if length > len(data) - at - 8:
            raise Damaged(f"it is cut off after {len(data):,} bytes, or its chunk at byte {at:,} is damaged")
        if kind not in _PIXELS or length < _USUAL_PIXELS:
            parts += 1
            if parts > MAX_PARTS:
                raise Unbounded(f"it has more than {MAX_PARTS:,} chunks")
        if kind in _TEXTS:
            found = _text(kind, data[at + 8 : at + 8 + length])
            if found is not None:
                yield found
        at += length + 12


def _text(kind: bytes, body: memoryview) -> Carried | None:
    """The text in a chunk, None if it is not one of KEYS or has not the shape of its kind."""
    for key in KEYS:
        start = len(key) + 1
        if bytes(body[:start]) == key.encode() + b"\0":
            break
    else:
        return None
    rest = body[start:]
    flag = bytes(rest[:1])
    if kind == b"zTXt":
        return Carried(key, rest[1:], utf8_or_latin1, deflated=True) if flag == b"\0" else None
    if kind != b"iTXt" or flag not in (b"\0", b"\1"):
        # Some writers put the text right behind the keyword in iTXt too, and ComfyUI's editor reads it there.
        return Carried(key, rest, utf8_or_latin1)
    # Two flags, then a language and a translated keyword, each ended by a zero.
    at = 2
    for _ in range(2):
        at = _behind_zero(rest, at)
        if not at:
            return None
    return Carried(key, rest[at:], utf8_or_latin1, deflated=flag == b"\1")


def _behind_zero(body: memoryview, start: int, most: int = 1024) -> int:
    """Where the bytes behind the next zero begin, 0 when none comes within ``most`` bytes."""
    found = bytes(body[start : start + most]).find(b"\0")
    return start + found + 1 if found >= 0 else 0

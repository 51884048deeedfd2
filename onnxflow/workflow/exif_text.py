"""The texts in EXIF data (Exif 2.32, 4.6; TIFF 6.0, section 2): ComfyUI's ``key:json`` tags and A1111's UserComment."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import partial
from typing import Final

from onnxflow.workflow.carried import KEYS, MAX_PARTS, Carried, Damaged, Unbounded, utf8_or_latin1

PREFIX: Final = b"Exif\0\0"
MARK: Final = "Steps:"
"""What A1111's parameters have, and hardly another comment."""

_ASCII: Final = 2
_EXIF_DIRECTORY: Final = 0x8769
_USER_COMMENT: Final = 0x9286
_CODES: Final = 8
"""Bytes before a UserComment that say how it is written."""
_LOOKED_AT: Final = 4096


def exif_texts(data: memoryview) -> Iterator[Carried]:
    """The texts called one of KEYS in the first directory, whatever their tags, and ``parameters`` from UserComment
    there or in the Exif directory. No other directory is visited, so none is visited twice.

    Damaged when there is no TIFF header, or values lie outside of ``data``; those inside are given first. Unbounded
    when a directory has more than MAX_PARTS entries.
    """
    if bytes(data[: len(PREFIX)]) == PREFIX:
        data = data[len(PREFIX) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(data[:4]), "")
    if not order or len(data) < 8:
        raise Damaged("its EXIF data has no TIFF header")
    (first,) = struct.unpack_from(order + "I", data, 4)
    second, outside = None, False
    for tag, value in _entries(data, first, order):
        if value is None:
            outside = True
        elif tag == _EXIF_DIRECTORY:
            second = value if second is None else second
        else:
            yield from _texts(tag, value, order)
    if second is not None and len(second) == 4:
        (place,) = struct.unpack(order + "I", second)
        for tag, value in _entries(data, place, order):
            if tag == _USER_COMMENT:
                outside = outside or value is None
                yield from _texts(tag, value, order) if value is not None else ()
    if outside:
        raise Damaged("its EXIF data is cut off")


def _entries(data: memoryview, place: int, order: str) -> Iterator[tuple[int, memoryview | None]]:
    """Tag and value of each entry of the directory at ``place`` that can hold a text or a place, None for a value
    that lies outside of ``data``; Damaged if the directory itself does, Unbounded with more than MAX_PARTS entries.
    """
    if place + 2 > len(data):
        raise Damaged("its EXIF data is cut off")
    (count,) = struct.unpack_from(order + "H", data, place)
    if min(count, (len(data) - place) // 12) > MAX_PARTS:
        raise Unbounded(f"its EXIF data has more than {MAX_PARTS:,} entries")
    for at in range(place + 2, place + 2 + 12 * count, 12):
        if at + 12 > len(data):
            raise Damaged("its EXIF data is cut off")
        tag, kind, length, offset = struct.unpack_from(order + "HHII", data, at)
        if tag == _EXIF_DIRECTORY:
            yield tag, data[at + 8 : at + 12]
        elif kind == _ASCII or tag == _USER_COMMENT:
            # What fits stands in the entry itself.
            start = at + 8 if length <= 4 else offset
            yield tag, data[start : start + length] if start + length <= len(data) else None


def _texts(tag: int, value: memoryview, order: str) -> Iterator[Carried]:
    if tag == _USER_COMMENT:
        code, body = bytes(value[:_CODES]), value[_CODES:]
        if code == b"UNICODE\0":
            yield Carried("parameters", body, partial(_utf16, order=order))
        else:
            # Some writers leave the code out.
            yield Carried("parameters", body if code in (b"ASCII\0\0\0", bytes(_CODES)) else value, _parameters)
        return
    found = keyed(value)
    if found is not None:
        yield found


def keyed(value: memoryview) -> Carried | None:
    """The text in ``key:text``, with a zero at its end or none; None if the key is not one of KEYS."""
    for key in KEYS:
        start = len(key) + 1
        # Some custom nodes write Workflow and Prompt, and the editor reads those too.
        if bytes(value[:start]).lower() == key.encode() + b":":
            return Carried(key, value[start:], _ended)
    return None


def _ended(data: bytes) -> str:
    return utf8_or_latin1(data.rstrip(b"\0 "))


def _parameters(data: bytes) -> str:
    return _with_steps(utf8_or_latin1(data))


def _utf16(data: bytes, order: str) -> str:
    """Such a comment in UTF-16, of which EXIF does not say in which order its bytes are: by its mark; else by where
    its zeros are, as any such text has Latin letters; else as the numbers around it.
    """
    if data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        return _with_steps(data.decode("utf-16", errors="replace"))
    start = data[:_LOOKED_AT]
    high, low = start[0::2].count(0), start[1::2].count(0)
    big = high > low or (high == low and order == ">")
    return _with_steps(data.decode("utf-16-be" if big else "utf-16-le", errors="replace"))


def _with_steps(comment: str) -> str:
    """The comment if it has steps, without what fills it up; empty for what cameras and telephones write there."""
    return comment.rstrip("\0 ") if MARK in comment else ""

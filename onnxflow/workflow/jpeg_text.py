"""The texts of a JPEG file: EXIF data (Exif 2.32, 4.7.2) and comments (ITU-T T.81, B.2.4.5), before the pixels."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final

from onnxflow.workflow.carried import MAX_EXIF, MAX_PARTS, Carried, Damaged, Unbounded, utf8_or_latin1
from onnxflow.workflow.exif_text import MARK, PREFIX, exif_texts, keyed

_MARKER: Final = re.compile(rb"\xff+")
_ALONE: Final = frozenset((0x01, 0xD8, *range(0xD0, 0xD8)))
"""Markers without a segment: TEM, SOI, RST0 to RST7."""
_SCAN, _END, _APP1, _COMMENT = 0xDA, 0xD9, 0xE1, 0xFE


def jpeg_texts(data: memoryview) -> Iterator[Carried]:
    """The texts called one of KEYS, in the file's order, up to the first scan of pixels.

    Damaged where the file is cut off or has no marker, Unbounded with more than MAX_PARTS segments or MAX_EXIF of EXIF
    data.
    """
    at, parts, exifs = 2, 0, 0
    damage = None
    while True:
        parts += 1
        if parts > MAX_PARTS:
            raise Unbounded(f"it has more than {MAX_PARTS:,} segments")
        fill = _MARKER.match(data, at)
        at = fill.end() if fill else at
        if at >= len(data):
            raise Damaged(f"it is cut off after {len(data):,} bytes, before its pixels")
        if not fill:
            raise Damaged(f"it is damaged at byte {at:,}, where no segment begins")
        marker = data[at]
        at += 1
        if marker in (_SCAN, _END):
            if damage is not None:
                raise damage
            return
        if marker in _ALONE:
            continue
        if at + 2 > len(data):
            raise Damaged(f"it is cut off after {len(data):,} bytes, before its pixels")
        (length,) = struct.unpack_from(">H", data, at)  # of itself too
        body = data[at + 2 : at + length]
        if length < 2 or at + length > len(data):
            raise Damaged(f"it is cut off after {len(data):,} bytes, or its segment at byte {at:,} is damaged")
        if marker == _APP1 and bytes(body[: len(PREFIX)]) == PREFIX:
            exifs += 1
            if exifs > MAX_EXIF:
                raise Unbounded(f"it has more than {MAX_EXIF} segments of EXIF data")
            try:
                yield from exif_texts(body)
            except Damaged as error:
                damage = error
        elif marker == _COMMENT:
            yield from _comment(body)
        at += length


def _comment(body: memoryview) -> Iterator[Carried]:
    """The text in a comment: ``key:text`` as in EXIF data, or A1111's parameters as they are."""
    found = keyed(body)
    if found is not None:
        yield found
    elif MARK.encode() in bytes(body):
        yield Carried("parameters", body, utf8_or_latin1)

"""The texts of a WebP file, which are in its EXIF chunk (RFC 9649, 2.3 and 2.7.1.5)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from onnxflow.workflow.carried import MAX_EXIF, MAX_PARTS, Carried, Damaged, Unbounded
from onnxflow.workflow.exif_text import exif_texts


def webp_texts(data: memoryview) -> Iterator[Carried]:
    """The texts called one of KEYS, in the file's order.

    Damaged where the file is cut off, Unbounded with more than MAX_PARTS chunks or MAX_EXIF of EXIF data.
    """
    (size,) = struct.unpack_from("<I", data, 4)
    at, parts, exifs = 12, 0, 0
    damage = None
    while at + 8 <= len(data):
        parts += 1
        if parts > MAX_PARTS:
            raise Unbounded(f"it has more than {MAX_PARTS:,} chunks")
        kind, length = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            exifs += 1
            if exifs > MAX_EXIF:
                raise Unbounded(f"it has more than {MAX_EXIF} chunks of EXIF data")
            try:
                yield from exif_texts(data[at + 8 : at + 8 + length])
            except Damaged as error:
                damage = error
        at += 8 + length + length % 2
    if damage is not None:
        raise damage
    if len(data) < max(at, size + 8) - 1:  # a last byte that only pads may be missing
        raise Damaged(f"it is cut off after {len(data):,} bytes, before its end")

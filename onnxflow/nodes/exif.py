"""EXIF data that carries texts, as ComfyUI writes it into WebP files and its editor reads it."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from onnxflow.errors import OutputError

PROMPT_TAG = 0x0110
"""The camera's model in a photograph."""

_FIRST_TAG = 0x010F
_ASCII = 2


def encode(texts: Mapping[str, str]) -> bytes:
    """A TIFF header and one directory (Exif 2.32, 4.5-4.6) of ``name:text`` entries: ``prompt`` under PROMPT_TAG, the
    others from the tag below it downwards; empty without texts. OutputError when there are more than there are tags.
    """
    tags: dict[int, bytes] = {}
    for name, text in texts.items():
        tag = PROMPT_TAG if name == "prompt" else _FIRST_TAG - len(tags.keys() - {PROMPT_TAG})
        if tag <= 0:
            raise OutputError(
                f"{len(texts)} metadata keys are more than a WebP file can carry, which is {_FIRST_TAG}",
                hint="run without metadata",
            )
        tags[tag] = f"{name}:{text}".encode() + b"\0"
    if not tags:
        return b""
    end = 8 + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag, value in sorted(tags.items()):
        # What fits stands in the entry itself, everything else behind the directory.
        place = value.ljust(4, b"\0") if len(value) <= 4 else struct.pack("<I", end + len(values))
        entries += struct.pack("<HHI", tag, _ASCII, len(value)) + place
        values += value if len(value) > 4 else b""
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + values

"""Safetensors files for tests, sound or not: whatever header and data one likes."""

import json
import struct
from typing import Any

ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
"""One float at the beginning of the data."""


def file_bytes(header: Any, data: bytes = b"") -> bytes:
    """A file with ``header`` (JSON text, or something to be written as JSON) and ``data``."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def laid_out(tensors: dict[str, tuple[str, list[int], bytes]], metadata: dict[str, str] | None = None) -> bytes:
    """A sound file of tensors given by type, shape and bytes, in their order."""
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": metadata}
    at = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(data)]}
        at += len(data)
    return file_bytes(header, b"".join(data for _, _, data in tensors.values()))

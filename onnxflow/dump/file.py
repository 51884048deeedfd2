"""Files that are whole or not there at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace_file(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` in one step, in place of a file of that name: nobody reads half of one. OSError."""
    draft = path.with_name(f".onnxflow-{os.urandom(8).hex()}.tmp")
    try:
        draft.write_bytes(data)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)

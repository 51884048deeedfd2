"""Text files of a model, most of them JSON objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from onnxflow.errors import ModelError

LARGEST: Final = 64 * 1024 * 1024
"""No configuration and no vocabulary has more bytes; a larger file is something else and is not read."""


def read_json(path: Path, hint: str) -> dict[str, Any]:
    """The object in ``path``; ModelError, with the hint, when it cannot be read or is none."""
    text = read_utf8(path, hint)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not JSON: {error}", where=str(path), hint=hint) from None
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} is not an object", where=str(path), hint=hint)
    return content


def read_utf8(path: Path, hint: str) -> str:
    """The text in ``path``; ModelError, with the hint, when it cannot be read, is too long or no UTF-8."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ModelError(f"{path.name} has more than {LARGEST:,} bytes", where=str(path), hint=hint)
        return data.decode("utf-8")
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError as error:
        reason = f"it is not UTF-8: {error}"
    raise ModelError(f"cannot read {path.name}: {reason}", where=str(path), hint=hint)

"""A JSON object in a file of a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from onnxflow.errors import ModelError

LARGEST: Final = 64 * 1024 * 1024
"""No configuration and no vocabulary has more bytes; a larger file is something else and is not read."""


def read_json(path: Path, hint: str) -> dict[str, Any]:
    """The object in ``path``; ModelError, with the hint, when it cannot be read or is none."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ModelError(f"{path.name} has more than {LARGEST:,} bytes", where=str(path), hint=hint)
        content = json.loads(data.decode("utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path.name}: {error.strerror}", where=str(path), hint=hint) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not JSON: {error}", where=str(path), hint=hint) from None
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} is not an object", where=str(path), hint=hint)
    return content

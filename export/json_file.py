"""A JSON object in a file of a model."""

import json
from pathlib import Path
from typing import Any

from onnxflow.errors import ModelError


def read_json(path: Path, hint: str) -> dict[str, Any]:
    """The object in `path`; ModelError, with the hint, when it cannot be read or is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelError(f"cannot read {path.name}: {error.strerror}", where=str(path), hint=hint) from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path.name} is not JSON: {error}", where=str(path), hint=hint) from None
    if not isinstance(content, dict):
        raise ModelError(f"{path.name} is not an object", where=str(path), hint=hint)
    return content

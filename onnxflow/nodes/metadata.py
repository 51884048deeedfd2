"""The texts that saved files carry so that the workflow can be read back from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from onnxflow.errors import OutputError, shown

RECORD: Final = "onnxflow"
"""The key of what ran where."""


def texts(prompt: Any, extra_pnginfo: Any, record: Mapping[str, Any] | None = None) -> dict[str, str]:
    """``prompt`` (the API graph), each key of ``extra_pnginfo`` (normally ``workflow``) and ``record``, which says what
    ran where, as ASCII JSON.

    OutputError when one of them is no JSON, or ``extra_pnginfo`` is no mapping.
    """
    if extra_pnginfo is not None and not isinstance(extra_pnginfo, Mapping):
        raise OutputError(
            f"extra_pnginfo is a {type(extra_pnginfo).__name__}, not an object of names and values",
            hint='it is normally {"workflow": {...}}',
        )
    values = {} if prompt is None else {"prompt": prompt}
    values.update(extra_pnginfo or {})
    if record:
        values[RECORD] = record
    found = {}
    for key, value in values.items():
        try:
            found[str(key)] = json.dumps(value)
        except (TypeError, ValueError, RecursionError) as error:
            raise OutputError(
                f"the metadata {shown(key)} cannot be written into a file: {error}",
                hint="run without metadata, or correct the value",
            ) from None
    return found

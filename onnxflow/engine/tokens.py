"""Values that are no JSON, as inputs of nodes that came to be during a run: what stands for them in content keys."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import blake2b
from typing import Any

import numpy as np

from onnxflow.values import Cond, Conditioning, Image, Latent, Mask, Noise, Sigmas

_SCALARS = (type(None), bool, int, float, str, bytes)
_OURS = (Image, Mask, Latent, Cond, Conditioning, Sigmas, Noise)
_DEPTH = 16


def token(value: Any, depth: int = 0) -> Any:
    """An object whose ``repr`` is equal for equal contents: scalars themselves, the bytes of arrays as a digest,
    containers and our own values by their members. What nobody knows is like nothing else, not even itself."""
    if type(value) in _SCALARS:
        return value
    if depth < _DEPTH:
        if isinstance(value, (list, tuple)):
            return [type(value).__name__, *(token(item, depth + 1) for item in value)]
        if isinstance(value, Mapping):
            return [("", token(name, depth + 1), token(item, depth + 1)) for name, item in value.items()]
        if isinstance(value, np.ndarray) and not value.dtype.hasobject:
            digest = blake2b(np.ascontiguousarray(value).tobytes(), digest_size=16).hexdigest()
            return f"{value.dtype.str}{value.shape}{digest}"
        if is_dataclass(value) and isinstance(value, _OURS):
            members = [token(getattr(value, field.name), depth + 1) for field in fields(value)]
            return [type(value).__name__, *members]
    return f"!{os.urandom(16).hex()}"

"""Sessions of ONNX Runtime for int8 graphs, which compute them exactly also where products of bytes saturate."""

from __future__ import annotations

from typing import Any

import onnxruntime
import pytest

from onnxflow.providers.saturation import compute_exactly, saturates


def exact_session(model: bytes | str, options: Any = None) -> Any:
    """A session on the CPU; on x86 processors without VNNI it would give other numbers unless it was told."""
    options = options or onnxruntime.SessionOptions()
    compute_exactly(options)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


shares_weights = pytest.mark.skipif(
    saturates(),
    reason="ONNX Runtime 1.31 adds a shared signed weight twice where products are to be exact",
)
"""For graphs in which two nodes share a weight; the networks of our families have none."""

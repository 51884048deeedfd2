"""tensorrt."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider

TENSORRT: Final = Provider(
    name="tensorrt", ep="TensorrtExecutionProvider", title="tensorrt", wheels=(), precisions=("fp16", "fp32")
)

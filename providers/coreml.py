"""coreml."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider

COREML: Final = Provider(
    name="coreml", ep="CoreMLExecutionProvider", title="coreml", wheels=(), precisions=("fp16", "fp32")
)

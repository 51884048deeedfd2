"""directml."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider

DIRECTML: Final = Provider(
    name="directml", ep="DmlExecutionProvider", title="directml", wheels=(), precisions=("fp16", "fp32")
)

"""xnnpack."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider

XNNPACK: Final = Provider(
    name="xnnpack", ep="XnnpackExecutionProvider", title="xnnpack", wheels=(), precisions=("fp16", "fp32")
)

"""migraphx."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider

MIGRAPHX: Final = Provider(
    name="migraphx", ep="MIGraphXExecutionProvider", title="migraphx", wheels=(), precisions=("fp16", "fp32")
)

"""qnn."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider

QNN: Final = Provider(name="qnn", ep="QNNExecutionProvider", title="qnn", wheels=(), precisions=("fp16", "fp32"))

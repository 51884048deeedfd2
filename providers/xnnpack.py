"""XNNPACK, another set of kernels for the CPU, in ONNX Runtime built with --use_xnnpack only.

Key and operators are those of xnnpack_execution_provider.cc and of ONNX Runtime's documentation.
"""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider, operators

XNNPACK: Final = Provider(
    name="xnnpack",
    ep="XnnpackExecutionProvider",
    title="XNNPACK",
    wheels=(),
    # What it has no kernel for is computed on the CPU, without a copy: so int8 and fp16 of our own gain nothing.
    precisions=("fp32", "int8-static"),
    keys=frozenset({"intra_op_num_threads"}),
    kernels=operators("AveragePool Conv ConvTranspose Gemm MatMul MaxPool QLinearConv Resize Softmax"),
)

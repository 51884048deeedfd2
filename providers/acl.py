"""The Arm Compute Library, another set of kernels for the CPU, in ONNX Runtime built with --use_acl only.

Key and operators are those of acl_execution_provider.cc and acl_provider_factory.h.
"""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider, operators

ACL: Final = Provider(
    name="acl",
    ep="ACLExecutionProvider",
    title="Arm Compute Library",
    wheels=(),
    # What it has no kernel for is computed on the CPU, without a copy.
    precisions=("fp32",),
    keys=frozenset({"enable_fast_math"}),
    kernels=operators("AveragePool Concat Conv Gemm GlobalAveragePool MatMul MaxPool Relu", "FusedConv"),
)

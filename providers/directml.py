"""Any GPU of Windows that knows Direct3D 12, through DirectML.

Option keys are those in the Python module of onnxruntime-directml 1.24.4; operators those of docs/OperatorKernels.md.
A session needs memory patterns off and sequential execution (ONNX Runtime's documentation).
"""

from __future__ import annotations

from typing import Final

from onnxflow.providers.operators import COMMON
from onnxflow.providers.provider import Provider, Symptom, Wheel, operators

DIRECTML: Final = Provider(
    name="directml",
    ep="DmlExecutionProvider",
    title="Microsoft DirectML",
    wheels=(Wheel("onnxruntime-directml", "pip install onnxflow-directml", (("win32", "amd64"),)),),
    # It has kernels for int8, but GPUs compute faster in fp16, and rounding is better there.
    precisions=("fp16", "fp32"),
    counted=True,
    unit_option="device_id",
    keys=frozenset({"device_id", "performance_preference", "device_filter", "disable_metacommands"}),
    kernels=COMMON
    | operators(
        "ConstantOfShape DequantizeLinear DynamicQuantizeLinear MatMulInteger QuantizeLinear",
        "BiasGelu DynamicQuantizeMatMul FastGelu FusedMatMul Gelu GroupNorm MatMulIntegerToFloat MultiHeadAttention"
        " QuickGelu SkipLayerNormalization",
    ),
    memory=True,
    symptoms=(
        Symptom(
            r"8007000E|Not enough memory resources|E_OUTOFMEMORY",
            "the GPU has not enough memory",
            "use a smaller picture, a smaller batch or the model in fp16",
        ),
        Symptom(
            r"887A0006|887A0005|887A0007|887A0020|DXGI_ERROR_DEVICE_(REMOVED|HUNG|RESET)|GetDeviceRemovedReason",
            "Windows stopped the GPU: a step took longer than two seconds, or its memory ran out",
            "update the driver of the GPU, or use a smaller picture",
        ),
        Symptom(
            r"887A0004|device interface or feature level is not supported",
            "this GPU or its driver does not know Direct3D 12",
            "update the driver of the GPU",
        ),
        Symptom(
            r"887A0002|No GPUs or NPUs detected|No devices detected that match the filter",
            "there is no GPU of this number that knows Direct3D 12",
            "dxdiag",
        ),
    ),
    driver=tuple(
        f"C:/Windows/System32/DriverStore/FileRepository/{name}*"
        for name in ("nv_disp", "nvlt", "u0", "iigd", "qcdx")  # NVIDIA's (two), AMD's, Intel's, Qualcomm's
    ),
)

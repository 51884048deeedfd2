"""NVIDIA GPUs through CUDA and cuDNN."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider, Symptom, Wheel

CUDA: Final = Provider(
    name="cuda",
    ep="CUDAExecutionProvider",
    title="NVIDIA CUDA",
    wheels=(Wheel("onnxruntime-gpu", "pip install onnxflow-cuda", (("linux", "x86_64"), ("win32", "amd64"))),),
    precisions=("fp16", "fp32"),
    counted=True,
    unit_option="device_id",
    options={"cudnn_conv_use_max_workspace": "1", "arena_extend_strategy": "kSameAsRequested"},
    keys=frozenset({"device_id", "cudnn_conv_use_max_workspace", "arena_extend_strategy"}),
    memory=True,
    symptoms=(
        Symptom(r"CUDA failure 100|no CUDA-capable device", "there is no NVIDIA GPU that CUDA can use", "nvidia-smi"),
    ),
    driver=("/proc/driver/nvidia/version",),
)

"""The CPU: in every wheel of onnxruntime."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider, Wheel

_EVERYWHERE = (
    ("linux", "x86_64"),
    ("linux", "aarch64"),
    ("darwin", "arm64"),
    ("win32", "amd64"),
    ("win32", "arm64"),
)

CPU: Final = Provider(
    name="cpu",
    ep="CPUExecutionProvider",
    title="CPU",
    wheels=(Wheel("onnxruntime", "pip install onnxflow", _EVERYWHERE),),
    # fp16 last: its kernels are few, and a Raspberry Pi takes four times as long as in fp32.
    precisions=("fp32", "int8", "int8-static", "fp16"),
    keys=frozenset({"arena_extend_strategy"}),
    ran="x86-64 (AMD EPYC), aarch64 (emulated)",
)

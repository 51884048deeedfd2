"""The CPU: in every wheel of onnxruntime."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider, Symptom, Wheel

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
    # No keys: ONNX Runtime's Python ignores whatever options the CPU is given (tried with 1.32).
    symptoms=(
        Symptom(
            r"bad_alloc|bfc_arena|Failed to allocate memory",
            "there is not enough memory",
            "close other programs, or use a smaller picture or the model in int8",
        ),
        Symptom(
            r"[Ii]llegal instruction",
            "this processor lacks instructions that ONNX Runtime was built with",
            "pip install --upgrade onnxruntime",
        ),
        Symptom(
            r"DLL load failed while importing onnxruntime_pybind11_state",
            "the runtime of Visual C++ is missing or too old",
            "winget install Microsoft.VCRedist.2015+.x64",
        ),
    ),
    ran="x86-64 (AMD EPYC), aarch64 (emulated)",
)

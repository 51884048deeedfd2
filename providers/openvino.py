"""Intel's OpenVINO: CPU (also AMD's), Intel GPU and NPU."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Provider, Wheel

OPENVINO: Final = Provider(
    name="openvino",
    ep="OpenVINOExecutionProvider",
    title="Intel OpenVINO",
    wheels=(
        Wheel("onnxruntime-openvino", "pip install onnxflow-openvino", (("linux", "x86_64"), ("win32", "amd64"))),
        Wheel(
            "onnxruntime-ep-openvino",
            "pip install 'onnxflow[openvino-plugin]'",
            (("linux", "x86_64"), ("win32", "amd64")),
            module="onnxruntime_ep_openvino",
        ),
    ),
    precisions=("fp32", "fp16"),
    units={"cpu": "CPU", "gpu": "GPU", "npu": "NPU"},
    unit_option="device_type",
    hardware={"cpu": "CPU", "gpu": "GPU", "npu": "NPU"},
    keys=frozenset({"device_type", "cache_dir"}),
    cache={"cache_dir": "{folder}"},
)

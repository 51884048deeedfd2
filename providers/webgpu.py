"""Any GPU with a Vulkan, Direct3D 12 or Metal driver, through WebGPU."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import Library, Provider, Wheel

WEBGPU: Final = Provider(
    name="webgpu",
    ep="WebGpuExecutionProvider",
    title="WebGPU",
    wheels=(
        Wheel(
            "onnxruntime-ep-webgpu",
            "pip install 'onnxflow[webgpu]'",
            (
                ("linux", "x86_64"),
                ("linux", "aarch64"),
                ("darwin", "arm64"),
                ("win32", "amd64"),
                ("win32", "arm64"),
            ),
            module="onnxruntime_ep_webgpu",
        ),
    ),
    precisions=("fp16", "fp32"),
    hardware={"": "GPU"},
    memory=True,
    libraries=(Library("libvulkan.so.1", "linux", "sudo apt-get install libvulkan1"),),
    driver=("/usr/share/vulkan/icd.d/*.json", "/etc/vulkan/icd.d/*.json"),
)

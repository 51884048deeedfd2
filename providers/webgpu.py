"""Any GPU with a Vulkan, Direct3D 12 or Metal driver, through WebGPU.

Option keys are those in the plug-in's library (0.4.0), which takes them without "ep.webgpuexecutionprovider." before;
operators those of webgpu_execution_provider.cc and webgpu_contrib_kernels.cc of ONNX Runtime.
"""

from __future__ import annotations

from typing import Final

from onnxflow.providers.operators import COMMON
from onnxflow.providers.provider import Library, Provider, Symptom, Wheel, operators, words

WEBGPU: Final = Provider(
    name="webgpu",
    ep="WebGpuExecutionProvider",
    title="WebGPU",
    wheels=(
        # 0.3.0 and 0.4.0 end the process when a session of session.compile_only=1 is made on their virtual device
        # (ONNX Runtime 1.25 to 1.32). Ordinary sessions are not concerned, so neither version is marked bad.
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
    keys=words(
        """
        dawnBackendType dawnProcTable defaultBufferCacheMode deviceId enableGraphCapture enableInt64 enablePIXCapture
        enableRobustness forceCpuNodeNames kvCacheQuantizationBits maxNumPendingDispatches maxStorageBufferBindingSize
        multiRotaryCacheConcatOffset powerPreference preferredLayout preserveDevice queryResolveBufferCacheMode
        sessionBufferPoolGenerations storageBufferCacheMode uniformBufferCacheMode validationMode webgpuDevice
        webgpuInstance
        """
    ),
    # Shape, Gather, Slice and Concat of whole numbers of 64 bits go to the CPU all the same (measured), where the sizes
    # are wanted anyway; ConstantOfShape has no kernel.
    kernels=COMMON
    | operators(
        "CumSum DequantizeLinear Einsum Gelu",
        "BiasAdd BiasGelu BiasSplitGelu FastGelu FusedConv Gelu MultiHeadAttention QuickGelu SkipLayerNormalization",
    ),
    memory=True,
    libraries=(Library("libvulkan.so.1", "linux", "sudo apt-get install libvulkan1"),),
    symptoms=(
        Symptom(
            r"Failed to get a WebGPU adapter|No supported adapters",
            "there is no GPU with a driver for Vulkan, Direct3D 12 or Metal",
            "sudo apt-get install mesa-vulkan-drivers, or on Windows the driver of the GPU",
        ),
        Symptom(
            r"virtual GPU device.*compile-only",
            "there is no GPU: the plug-in offers only a device that compiles",
            "use the provider cpu",
        ),
        Symptom(
            r"libvulkan\.so\.1: cannot open shared object|Couldn't open .*vulkan",
            "the Vulkan loader is not installed",
            "sudo apt-get install libvulkan1",
        ),
        Symptom(
            r"Failed to get a WebGPU device|Unable to instantiate a Device",
            "the GPU refused a device: its driver is too old, or its memory full",
            "update the driver of the GPU",
        ),
        Symptom(
            r"VK_ERROR_OUT_OF_(DEVICE|HOST)_MEMORY|WebGPU device error\(2\)|exceeds the max (buffer|storage)",
            "the GPU has not enough memory, or allows no buffer this large",
            "use a smaller picture, a smaller batch or the model in fp16",
        ),
        Symptom(
            r"VK_ERROR_DEVICE_LOST|WebGPU device (has been |was )?lost|Device was lost",
            "the driver stopped the GPU: a step took too long, or its memory ran out",
            "update the driver of the GPU, or use a smaller picture",
        ),
        Symptom(
            r"requires f16 but the device does not support it|shader-f16",
            "this GPU does not compute in fp16",
            "use the model in fp32",
        ),
    ),
    driver=(
        "/usr/share/vulkan/icd.d/*.json",
        "/etc/vulkan/icd.d/*.json",
        "/proc/driver/nvidia/version",
        "/System/Library/CoreServices/SystemVersion.plist",
        "C:/Windows/System32/vulkan-1.dll",
    ),
    ran="Vulkan in software (SwiftShader)",
)

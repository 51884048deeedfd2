"""NVIDIA GPUs through CUDA and cuDNN.

Option keys are those in libonnxruntime_providers_cuda.so of onnxruntime-gpu 1.31.1; operators those of
docs/OperatorKernels.md.
"""

from __future__ import annotations

from typing import Final

from onnxflow.providers.operators import COMMON
from onnxflow.providers.provider import Library, Provider, Symptom, Wheel, operators, words

NVIDIA_DRIVER: Final = ("/proc/driver/nvidia/version", "C:/Windows/System32/nvcuda.dll")
CUDA_LIBRARIES: Final = 'pip install "onnxruntime-gpu[cuda,cudnn]"'  # cuBLAS comes with cuDNN's package
_WINDOWS_DRIVER = "install the driver from nvidia.com/drivers"

NVIDIA_SYMPTOMS: Final = (
    Symptom(
        r"driver version is insufficient|CUDA failure 35\b|cudaErrorInsufficientDriver",
        "the NVIDIA driver is older than the CUDA libraries",
        "update the NVIDIA driver to one for CUDA 13, 580 or newer",
    ),
    Symptom(
        r"CUDA failure 100\b|no CUDA-capable device|cudaErrorNoDevice",
        "there is no NVIDIA GPU that CUDA can use",
        "nvidia-smi",
    ),
    Symptom(
        r"Invalid device ID|CUDA failure 101\b|invalid device ordinal",
        "there is no NVIDIA GPU of this number",
        "nvidia-smi -L",
    ),
    Symptom(
        r"no kernel image is available|cudaErrorNoKernelImageForDevice|CUDA failure 209\b",
        "ONNX Runtime was not built for this GPU: it is too old, or newer than this version",
        "pip install --upgrade onnxflow-cuda onnxruntime-gpu",
    ),
    Symptom(
        r"CUDA_ERROR_OUT_OF_MEMORY|CUDA failure 2\b|cudaErrorMemoryAllocation|CUBLAS_STATUS_ALLOC_FAILED"
        r"|CUDNN_STATUS_ALLOC_FAILED",
        "the GPU has not enough memory",
        "use a smaller picture, a smaller batch or the model in fp16",
    ),
    Symptom(
        r"libcuda\.so\.1: cannot open shared object",
        "the NVIDIA driver is not installed, or this container was not given the GPU",
        "nvidia-smi",
    ),
)
"""What CUDA says, also below TensorRT."""

CUDA: Final = Provider(
    name="cuda",
    ep="CUDAExecutionProvider",
    title="NVIDIA CUDA",
    wheels=(Wheel("onnxruntime-gpu", "pip install onnxflow-cuda", (("linux", "x86_64"), ("win32", "amd64"))),),
    # Not int8: CUDA has neither DynamicQuantizeMatMul nor MatMulIntegerToFloat, they would run on the CPU.
    precisions=("fp16", "fp32"),
    counted=True,
    unit_option="device_id",
    options={
        # Convolutions in fp16 need room to be fast (ONNX Runtime's documentation); its default, written down.
        "cudnn_conv_use_max_workspace": "1",
        # Doubling the arena, the default, takes up to twice the memory of a UNet.
        "arena_extend_strategy": "kSameAsRequested",
        # fp32 is fp32: TF32, ONNX Runtime's default on newer cards, has 10 bits of mantissa.
        "use_tf32": "0",
    },
    keys=words(
        """
        arena_extend_strategy cudnn_conv1d_pad_to_nc1d cudnn_conv_algo_search cudnn_conv_use_max_workspace device_id
        do_copy_in_default_stream enable_cuda_graph enable_cudnn enable_skip_layer_norm_strict_mode
        external_data_loader_reading_threads fuse_conv_bias gpu_external_alloc gpu_external_empty_cache
        gpu_external_free gpu_mem_limit has_user_compute_stream prefer_nhwc sdpa_kernel tunable_op_enable
        tunable_op_max_tuning_duration_ms tunable_op_tuning_enable use_ep_level_unified_stream use_tf32
        user_compute_stream
        """
    ),
    kernels=COMMON
    | operators(
        "ConstantOfShape DequantizeLinear Gelu MatMulInteger QuantizeLinear",
        "BiasGelu FastGelu FusedConv FusedMatMul Gelu GroupNorm MultiHeadAttention QuickGelu SkipLayerNormalization",
    ),
    memory=True,
    libraries=(
        Library("libcuda.so.1", "linux", "sudo apt-get install nvidia-driver-580"),
        Library("libcudart.so.13", "linux", CUDA_LIBRARIES),
        Library("libcublasLt.so.13", "linux", CUDA_LIBRARIES),
        Library("libcublas.so.13", "linux", CUDA_LIBRARIES),
        Library("libcurand.so.10", "linux", CUDA_LIBRARIES),
        Library("libcudnn.so.9", "linux", CUDA_LIBRARIES),
        Library("nvcuda.dll", "win32", _WINDOWS_DRIVER),
        Library("cudart64_13.dll", "win32", CUDA_LIBRARIES),
        Library("cublasLt64_13.dll", "win32", CUDA_LIBRARIES),
        Library("cublas64_13.dll", "win32", CUDA_LIBRARIES),
        Library("cudnn64_9.dll", "win32", CUDA_LIBRARIES),
    ),
    symptoms=(
        *NVIDIA_SYMPTOMS,
        Symptom(
            r"lib(cudart|cublas|cublasLt|cudnn|curand|cufft|nvrtc)[\w.]*: cannot open shared object"
            r"|cuDNN is (unavailable|not available)|cuDNN library was not found",
            "a library of CUDA or cuDNN is missing, or of another version than ONNX Runtime was built for",
            CUDA_LIBRARIES,
        ),
        Symptom(
            r"error 126\b.*onnxruntime_providers_cuda\.dll",
            "a library of CUDA, of cuDNN or of Visual C++ is missing",
            CUDA_LIBRARIES,
        ),
        Symptom(
            r"libonnxruntime_providers_cuda\.so: cannot open shared object",
            "the installed onnxruntime has no CUDA: another wheel of it was installed over onnxruntime-gpu",
            "pip install --force-reinstall onnxruntime-gpu",
        ),
    ),
    driver=NVIDIA_DRIVER,
    ran="Linux, H100",
)

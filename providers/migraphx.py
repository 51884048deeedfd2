"""AMD GPUs through MIGraphX and ROCm, which compiles a program for each graph and each size.

Option keys are those of migraphx_execution_provider_info.h of ONNX Runtime; operators those of the list in
migraphx_execution_provider.cc. No wheel on PyPI has it (onnxruntime-ep-migraphx is an empty name there); AMD gives
wheels for each version of ROCm, named onnxruntime-migraphx, at repo.radeon.com.
"""

from __future__ import annotations

from typing import Final

from onnxflow.providers.operators import COMMON
from onnxflow.providers.provider import ANY_UNIT, FOLDER, Library, Provider, Symptom, Wheel, operators, words

_ROCM = "sudo apt-get install rocm migraphx"

MIGRAPHX: Final = Provider(
    name="migraphx",
    ep="MIGraphXExecutionProvider",
    title="AMD MIGraphX",
    wheels=(Wheel("onnxruntime-migraphx", "", (("linux", "x86_64"),)),),
    precisions=("fp16", "fp32"),
    counted=True,
    unit_option="device_id",
    keys=words(
        """
        device_id migraphx_arena_extend_strategy migraphx_bf16_enable migraphx_exhaustive_tune
        migraphx_external_alloc migraphx_external_empty_cache migraphx_external_free migraphx_fp16_enable
        migraphx_fp8_enable migraphx_int8_calibration_table_name migraphx_int8_enable
        migraphx_int8_use_native_calibration_table migraphx_max_compiled_models migraphx_max_dynamic_batch
        migraphx_mem_limit migraphx_model_cache_dir
        """
    ),
    fixed=ANY_UNIT,
    # Newer ones also list MultiHeadAttention; decomposed, our graphs run on these and on the older.
    kernels=COMMON
    | operators(
        "ConstantOfShape DequantizeLinear DynamicQuantizeLinear Einsum Gelu GroupNormalization MatMulInteger"
        " QuantizeLinear",
        "BiasGelu FastGelu Gelu QuickGelu SkipLayerNormalization",
    ),
    memory=True,
    cache={"migraphx_model_cache_dir": FOLDER},
    libraries=(
        Library("libmigraphx_c.so.3", "linux", _ROCM),
        Library("libamdhip64.so", "linux", _ROCM),
    ),
    symptoms=(
        Symptom(
            r"lib(migraphx|amdhip|rocblas|hipblas|MIOpen|hsa-runtime|rocm)[\w.-]*: cannot open shared object"
            r"|undefined symbol: (rocblas|hip)",
            "a library of ROCm or MIGraphX is missing, or of another version than ONNX Runtime was built for",
            _ROCM,
        ),
        Symptom(
            r"no ROCm-capable device|hipErrorNoDevice|HIP failure 100\b|No HIP GPUs",
            "there is no AMD GPU that ROCm can use, or this user may not open it",
            "sudo usermod -a -G render,video $USER",
        ),
        Symptom(
            r"hipErrorNoBinaryForGpu|Unable to find code object|HIP failure 209\b|invalid device function",
            "this version of ROCm was not built for this GPU",
            "use the provider webgpu",
        ),
        Symptom(
            r"hipErrorOutOfMemory|HIP failure 2\b|HIP out of memory",
            "the GPU has not enough memory",
            "use a smaller picture, a smaller batch or the model in fp16",
        ),
        Symptom(
            r"migraphx_save: .*Failure opening file",
            "MIGraphX was given no folder for what it compiles",
            "set the option migraphx_model_cache_dir",
        ),
    ),
    driver=("/sys/module/amdgpu/version", "/sys/module/amdgpu/srcversion"),
    aliases=("rocm",),
)

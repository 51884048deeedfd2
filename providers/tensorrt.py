"""NVIDIA GPUs through TensorRT, which compiles an engine for each graph and each size.

Option keys are those in libonnxruntime_providers_tensorrt.so of onnxruntime-gpu 1.31.1, which links TensorRT 10;
operators those of docs/operators.md of onnx-tensorrt 10.
"""

from __future__ import annotations

from typing import Final

from onnxflow.providers.cuda import CUDA_LIBRARIES, NVIDIA_DRIVER, NVIDIA_SYMPTOMS
from onnxflow.providers.operators import COMMON
from onnxflow.providers.provider import ANY_UNIT, FOLDER, Library, Provider, Symptom, Wheel, operators, words

_TENSORRT = 'pip install "tensorrt-cu13<11"'  # the wheel looks for libnvinfer.so.10; 11 has another name

TENSORRT: Final = Provider(
    name="tensorrt",
    ep="TensorrtExecutionProvider",
    title="NVIDIA TensorRT",
    wheels=(Wheel("onnxruntime-gpu", "pip install onnxflow-cuda", (("linux", "x86_64"), ("win32", "amd64"))),),
    # Not int8-static: TensorRT quantises without zero points, and our activations are unsigned bytes with one.
    precisions=("fp16", "fp32"),
    counted=True,
    unit_option="device_id",
    options={
        # Parts of few nodes cost more in copies between TensorRT and CUDA than they save; 1 is the default.
        "trt_min_subgraph_size": "5",
    },
    # Refused otherwise: "fp16 precision has been set for at least one layer ... but fp16 is not configured in the
    # builder". For fp32 it would round what was to be exact.
    variants={"fp16": {"trt_fp16_enable": "1"}},
    keys=words(
        """
        device_id has_user_compute_stream trt_auxiliary_streams trt_bf16_enable trt_build_heuristics_enable
        trt_builder_optimization_level trt_context_memory_sharing_enable trt_cuda_graph_enable trt_detailed_build_log
        trt_dla_core trt_dla_enable trt_dump_ep_context_model trt_dump_subgraphs trt_engine_cache_enable
        trt_engine_cache_path trt_engine_cache_prefix trt_engine_decryption_enable trt_engine_decryption_lib_path
        trt_engine_hw_compatible trt_ep_context_embed_mode trt_ep_context_file_path trt_external_data_bytestream
        trt_external_data_bytestream_size trt_extra_plugin_lib_paths trt_force_sequential_engine_build
        trt_force_timing_cache trt_fp16_enable trt_int8_calibration_table_name trt_int8_enable
        trt_int8_use_native_calibration_table trt_layer_norm_fp32_fallback trt_load_user_initializer
        trt_max_partition_iterations trt_max_workspace_size trt_min_subgraph_size trt_onnx_bytestream
        trt_onnx_bytestream_size trt_onnx_model_folder_path trt_op_types_to_exclude trt_preview_features
        trt_profile_max_shapes trt_profile_min_shapes trt_profile_opt_shapes trt_sparsity_enable trt_tactic_sources
        trt_timing_cache_enable trt_timing_cache_path trt_weight_stripped_engine_enable user_compute_stream
        """
    ),
    fixed=ANY_UNIT,
    kernels=COMMON | operators("ConstantOfShape DequantizeLinear Gelu GroupNormalization QuantizeLinear"),
    memory=True,
    cache={
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": FOLDER,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": FOLDER,
    },
    context=True,
    libraries=(
        Library("libnvinfer.so.10", "linux", _TENSORRT),
        Library("libnvonnxparser.so.10", "linux", _TENSORRT),
        Library("libcudart.so.13", "linux", CUDA_LIBRARIES),
        Library("libcublas.so.13", "linux", CUDA_LIBRARIES),
        Library("libcudnn.so.9", "linux", CUDA_LIBRARIES),
        Library("nvinfer_10.dll", "win32", _TENSORRT),
        Library("nvonnxparser_10.dll", "win32", _TENSORRT),
    ),
    symptoms=(
        *NVIDIA_SYMPTOMS,
        Symptom(
            r"libnv(infer|onnxparser)[\w.]*: cannot open shared object"
            r"|error 126\b.*onnxruntime_providers_tensorrt\.dll",
            "TensorRT is missing, or of another version than ONNX Runtime was built for",
            _TENSORRT,
        ),
        Symptom(
            r"lib(cudart|cublas|cublasLt|cudnn)[\w.]*: cannot open shared object",
            "a library of CUDA or cuDNN is missing, or of another version than ONNX Runtime was built for",
            CUDA_LIBRARIES,
        ),
        Symptom(
            r"fp16 is not configured in the builder",
            "the graph is in fp16 and TensorRT was told not to use it",
            "leave the option trt_fp16_enable out",
        ),
        Symptom(
            r"TensorRT EP could not deserialize engine",
            "what was compiled before was made by another TensorRT, or for another GPU",
            "delete the folder of compiled models",
        ),
        Symptom(
            r"TensorRT EP (could not build|failed to create) (execution context|engine)",
            "TensorRT could not build this graph for this size",
            "use a smaller picture, or the provider cuda",
        ),
    ),
    driver=NVIDIA_DRIVER,
)

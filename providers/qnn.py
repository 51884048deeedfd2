"""Qualcomm's NPU (Hexagon) and GPU (Adreno) through QNN.

Option keys and operators are those of docs/execution_providers/QNN-ExecutionProvider.md of onnxruntime-qnn 2.7; the
module and the platforms are those of its wheels.
"""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import ANY_UNIT, Library, Provider, Symptom, Wheel, operators, words

QNN: Final = Provider(
    name="qnn",
    ep="QNNExecutionProvider",
    title="Qualcomm QNN",
    wheels=(
        # There is a wheel for Windows x86-64 too: it prepares models for other machines.
        Wheel(
            "onnxruntime-qnn",
            "pip install 'onnxflow[qnn]'",
            (("win32", "arm64"), ("linux", "aarch64")),
            module="onnxruntime_qnn",
        ),
    ),
    precisions=("int8-static", "fp16"),
    units={"npu": "htp", "gpu": "gpu"},
    unit_option="backend_type",
    hardware={"npu": "NPU", "gpu": "GPU"},
    options={
        # A picture is one burst of some seconds; the default holds the clock down.
        "htp_performance_mode": "burst",
    },
    keys=words(
        """
        backend_path backend_type device_id disable_file_mapped_weights dump_json_qnn_graph dump_qnn_ep_input_graph
        dump_qnn_ep_input_graph_dir dump_qnn_ir_dlc dump_qnn_ir_dlc_dir enable_block_quant_weight_optimization
        enable_dx12_shared_memory_allocator enable_framework_op_trace enable_htp_fp16_precision
        enable_htp_graph_splitting enable_htp_monolithic_lstm enable_htp_prepare_only
        enable_htp_shared_memory_allocator enable_htp_spill_fill_buffer enable_vtcm_backup_buffer_sharing
        extended_udma framework_op_trace_dir genie_log_level htp_arch htp_bf16_enable
        htp_graph_finalization_optimization_mode htp_performance_mode htp_share_resource_optimization
        json_qnn_graph_dir num_graph_prepare_threads offload_graph_io_quantization op_packages profiling_file_path
        profiling_level qnn_context_priority qnn_ir_backend_path qnn_saver_path rpc_control_latency
        skip_backend_op_validation skip_qnn_version_check soc_model vtcm_mb
        """
    ),
    fixed=ANY_UNIT,
    # Erf as part of a Gelu only; no ConstantOfShape and no Trilu: with fixed sizes they are constants.
    kernels=operators(
        """
        Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Conv ConvTranspose Cos CumSum
        DepthToSpace DequantizeLinear Div Einsum Elu Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND
        Gelu Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid
        Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log MatMul Max MaxPool Mean Min
        Mod Mul Neg Not OneHot Or PRelu Pad Pow QuantizeLinear Range Reciprocal ReduceMax ReduceMean ReduceMin
        ReduceSum Relu Reshape Resize Round ScatterElements ScatterND Shape Sigmoid Sign Sin Slice Softmax Split Sqrt
        Squeeze Sub Sum Tan Tanh Tile TopK Transpose Unsqueeze Upsample Where Xor
        """,
        "DequantizeLinear FusedMatMul Gelu QuantizeLinear QuickGelu",
    ),
    context=True,
    libraries=(
        Library("libcdsprpc.so", "linux", "install the vendor's packages for the Hexagon NPU (fastrpc)"),
        Library("libcdsprpc.dll", "win32", "update the driver of the Hexagon NPU in Windows Update"),
    ),
    symptoms=(
        Symptom(
            r"Unable to load backend|[Ff]ailed to load .*Qnn(Htp|Gpu|System)|error 126\b.*Qnn",
            "a library of QNN, or one of the driver that it needs, is missing",
            "pip install --force-reinstall onnxruntime-qnn",
        ),
        Symptom(
            r"Failed to create device\. Error: 14001|Unable to load Skel Library|rpc transport|[Cc]dsprpc",
            "QNN does not reach the NPU: its driver is missing, too old, or closed to this user",
            "update the driver of the Hexagon NPU",
        ),
        Symptom(
            r"QNN SetupBackend failed|Failed to initialize backend",
            "QNN does not start on this machine: it needs a Snapdragon with a Hexagon NPU or an Adreno GPU",
            "use the provider cpu",
        ),
        Symptom(
            r"error 1002\b|QNN_COMMON_ERROR_MEM_ALLOC",
            "the NPU has not enough memory for this graph",
            "use a smaller picture, or qnn:gpu",
        ),
    ),
    driver=(
        "C:/Windows/System32/DriverStore/FileRepository/qcnsp*",
        "C:/Windows/System32/DriverStore/FileRepository/qcdx*",
        "/usr/lib/aarch64-linux-gnu/libcdsprpc.so*",
    ),
)

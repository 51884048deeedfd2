"""What ONNX Runtime and drivers say, by provider, with words of the cause that the catalog names.

Messages are those that people reported (the issue is named) or we saw; the others are put together from the texts in
the libraries.
"""

_LOAD = "[ONNXRuntimeError] : 1 : FAIL : Failed to load library "
_GONE = ": cannot open shared object file: No such file or directory"
_DML = r"D:\a\_work\1\s\onnxruntime\core\providers\dml\DmlExecutionProvider\src\ExecutionProvider.cpp(962)"

SAID = [
    ("cpu", "bfc_arena.cc:376 BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer", "memory"),
    ("cpu", "std::bad_alloc", "not enough memory"),
    ("cpu", "Illegal instruction (core dumped)", "lacks instructions"),
    ("cpu", "ImportError: DLL load failed while importing onnxruntime_pybind11_state: ...", "Visual C++"),
    # github.com/pykeio/ort/issues/548, microsoft/onnxruntime/issues/22968
    ("cuda", f"{_LOAD}libonnxruntime_providers_cuda.so with error: libcublasLt.so.12{_GONE}", "library of CUDA"),
    ("cuda", f"{_LOAD}libonnxruntime_providers_cuda.so with error: libcudnn.so.9{_GONE}", "library of CUDA"),
    ("cuda", f"{_LOAD}libonnxruntime_providers_cuda.so with error: libcudart.so.13{_GONE}", "library of CUDA"),
    ("cuda", f"{_LOAD}libonnxruntime_providers_cuda.so with error: libcuda.so.1{_GONE}", "driver is not installed"),
    ("cuda", f"{_LOAD}libonnxruntime_providers_cuda.so with error: libonnxruntime_providers_cuda.so{_GONE}", "no CUDA"),
    ("cuda", "cuDNN is not available. Install cuDNN, update the system library search path, or set", "library of CUDA"),
    # microsoft/onnxruntime/issues/14837
    (
        "cuda",
        'LoadLibrary failed with error 126 "" when trying to load "E:\\x\\onnxruntime_providers_cuda.dll"',
        "Visual C++",
    ),
    # onnxruntime/mobius/issues/316
    ("cuda", "CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1", "older"),
    ("cuda", "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1", "no NVIDIA GPU"),
    ("cuda", "Invalid device ID: 3, must be between 0 (inclusive) and 1 (exclusive).", "of this number"),
    # hacksider/Deep-Live-Cam/issues/584
    ("cuda", "CUDA failure 2: out of memory ; GPU=0 ; hostname=DESKTOP ; file=cuda_stream_handle.cc", "enough memory"),
    ("cuda", "cuMemCreate failed: CUDA_ERROR_OUT_OF_MEMORY", "enough memory"),
    # microsoft/onnxruntime/issues/22441
    (
        "cuda",
        "CUDA error cudaErrorNoKernelImageForDevice:no kernel image is available for execution on the device",
        "not built for this GPU",
    ),
    # microsoft/onnxruntime/issues/18597
    ("tensorrt", f"{_LOAD}libonnxruntime_providers_tensorrt.so with error: libnvinfer.so.8{_GONE}", "TensorRT is"),
    ("tensorrt", f"{_LOAD}libonnxruntime_providers_tensorrt.so with error: libcudart.so.13{_GONE}", "library of CUDA"),
    ("tensorrt", "CUDA failure 2: out of memory ; GPU=0", "enough memory"),
    (
        "tensorrt",
        (
            "Error Code 4: API Usage Error (fp16 precision has been set for at least one layer or layer output, but"
            " fp16 is not configured in the builder.)"
        ),
        "graph is in fp16",
    ),
    ("tensorrt", "TensorRT EP could not deserialize engine from cache: /c/x.engine", "compiled before"),
    ("tensorrt", "TensorRT EP could not build execution context for fused node: x", "could not build"),
    # huggingface/diffusers/issues/791
    ("directml", f"{_DML} 8007000E Not enough memory resources are available to complete this operation.", "memory"),
    # microsoft/onnxruntime/issues/22700, microsoft/onnxruntime-genai/issues/975
    ("directml", f"{_DML} 887A0005 The GPU device instance has been suspended. Use GetDeviceRemovedReason", "stopped"),
    ("directml", f"{_DML} 887A0006 The GPU will not respond to more commands, most likely because", "stopped the GPU"),
    # pykeio/ort/issues/282
    ("directml", "The specified device interface or feature level is not supported on this system.", "Direct3D 12"),
    ("directml", "No devices detected that match the filter criteria.", "no GPU of this number"),
    # microsoft/onnxruntime/issues/26355
    (
        "coreml",
        (
            "Error executing model:Unable to compute the prediction using a neural network model. It can be an invalid"
            " input data or broken/unsupported model (error code: -1)."
        ),
        "does not compute this graph",
    ),
    ("coreml", "Error compiling model: compiler error", "could not compile"),
    ("coreml", "Failed to create MLModel", "could not compile"),
    ("coreml", "The current system does not have Apple Neural Engine.", "no Neural Engine"),
    ("coreml", "CoreML EP is not supported on this platform.", "too old"),
    # openvinotoolkit/openvino/issues/23883; the second we saw
    ("openvino", 'Device with "GPU" name is not registered in the OpenVINO Runtime', "no Intel GPU"),
    ("openvino", "[ERROR] [OpenVINO] Device GPU is not available", "no Intel GPU"),
    ("openvino", "[ERROR] [OpenVINO] Device NPU is not available", "no Intel NPU"),
    ("openvino", 'Device with "XPU" name is not registered in the OpenVINO Runtime', "no such device"),
    ("openvino", "L0 pfnCreate2 result: ZE_RESULT_ERROR_UNSUPPORTED_VERSION", "driver of the NPU"),
    ("openvino", "[GPU] Exceeded max size of memory allocation: Required 9663676416 bytes", "enough memory"),
    ("openvino", "[GPU] CL_OUT_OF_RESOURCES exception.", "enough memory"),
    ("openvino", "Unsupported inference precision is selected. CPU only supports FP32, ACCURACY.", "precision"),
    ("openvino", "Invalid provider_option key: zzz", "one of the options"),
    # microsoft/onnxruntime/issues/20206, 21214, 20124
    ("qnn", "QNN SetupBackend failed Unable to load backend, error: load library failed", "library of QNN"),
    ("qnn", "QNN SetupBackend failed Failed to create device. Error: 14001", "does not reach the NPU"),
    ("qnn", " <E> Unable to load Skel Library. transportStatus: 9", "does not reach the NPU"),
    ("qnn", "QNN SetupBackend failed qnn_backend_manager.cc:288 Failed to initialize backend", "does not start"),
    ("qnn", "graphFinalize fails with error 1002 / QNN_COMMON_ERROR_MEM_ALLOC", "enough memory"),
    # microsoft/onnxruntime/pull/25219, and seen
    ("webgpu", "Failed to get a WebGPU adapter: No supported adapters", "there is no GPU with a driver"),
    (
        "webgpu",
        (
            "WebGPU EP was selected on a virtual GPU device, which has no real GPU behind it and can only serve a"
            " compile-only session (session.compile_only=1). Select a real GPU device to run inference."
        ),
        "there is no GPU: ",
    ),
    ("webgpu", f"libvulkan.so.1{_GONE}", "Vulkan loader"),
    ("webgpu", "Failed to get a WebGPU device: Requested limits are not supported", "refused a device"),
    # microsoft/onnxruntime/issues/25195
    ("webgpu", "WebGPU device error(2): Out of memory", "enough memory"),
    ("webgpu", "Buffer size (3185049600) exceeds the max buffer size limit (1073741824).", "enough memory"),
    ("webgpu", "vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY", "enough memory"),
    ("webgpu", "WebGPU device lost (1): vkQueueSubmit failed with VK_ERROR_DEVICE_LOST", "stopped the GPU"),
    ("webgpu", "Program Conv requires f16 but the device does not support it.", "fp16"),
    ("migraphx", f"{_LOAD}libonnxruntime_providers_migraphx.so with error: libmigraphx_c.so.3{_GONE}", "ROCm"),
    # microsoft/onnxruntime/pull/15204
    ("migraphx", "libonnxruntime_providers_migraphx.so: undefined symbol: rocblas_create_handle", "library of ROCm"),
    ("migraphx", "HIP failure 100: no ROCm-capable device is detected ; GPU=-1", "no AMD GPU"),
    # microsoft/onnxruntime/issues/12662
    ("migraphx", "hipErrorNoBinaryForGpu: Unable to find code object for all current devices!", "not built for"),
    ("migraphx", "HIP failure 2: out of memory ; GPU=0", "enough memory"),
    ("migraphx", 'migraphx_save: src/file_buffer.cpp: Failure opening file: ""/x.mxr', "no folder"),
]

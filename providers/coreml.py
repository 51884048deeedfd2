"""Apple's Core ML: GPU, Neural Engine and CPU of a Mac. It is inside the plain wheel for macOS.

Option keys are those in libonnxruntime.dylib of onnxruntime 1.31.1 for macOS; operators those of
tools/ci_build/github/apple/coreml_supported_mlprogram_ops.md, and Where, which that library has a builder for.
"""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import ANY_UNIT, FOLDER, Provider, Symptom, Wheel, operators, words

COREML: Final = Provider(
    name="coreml",
    ep="CoreMLExecutionProvider",
    title="Apple Core ML",
    wheels=(Wheel("onnxruntime", "pip install onnxflow", (("darwin", "arm64"),)),),
    precisions=("fp16", "fp32"),
    # The GPU first: with attention written as ours is, the Neural Engine does not compute Stable Diffusion
    # (github.com/apple/ml-stable-diffusion/issues/280), and compiles for minutes before it says so.
    units={"gpu": "CPUAndGPU", "npu": "CPUAndNeuralEngine", "all": "ALL", "cpu": "CPUOnly"},
    unit_option="MLComputeUnits",
    options={
        # The older format, which is the default, computes in fp16 whatever the graph says, and lacks Erf and Gelu.
        "ModelFormat": "MLProgram",
        # Core ML's parts of dynamic size are slow, and some operators have none: all sizes are fixed before.
        "RequireStaticInputShapes": "1",
    },
    keys=words(
        """
        MLComputeUnits ModelFormat RequireStaticInputShapes EnableOnSubgraphs SpecializationStrategy
        ProfileComputePlan AllowLowPrecisionAccumulationOnGPU ModelCacheDirectory
        """
    ),
    fixed=ANY_UNIT,
    # Of our graphs' operators Gather, Sin, Cos and the arithmetic of sizes stay on the CPU: they are at the beginning.
    kernels=operators(
        """
        Add ArgMax AveragePool Cast Clip Concat Conv ConvTranspose DepthToSpace Div Erf Gelu Gemm GlobalAveragePool
        GlobalMaxPool GridSample GroupNormalization InstanceNormalization LayerNormalization LeakyRelu MatMul Max
        MaxPool Mul PRelu Pow Reciprocal ReduceMax ReduceMean ReduceSum Relu Reshape Resize Round Shape Sigmoid Slice
        Softmax Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where
        """,
        "QuickGelu",
    ),
    # A model is found again by the hash of its path, unless its metadata have COREML_CACHE_KEY.
    cache={"ModelCacheDirectory": FOLDER},
    symptoms=(
        Symptom(
            r"Unable to compute the prediction|broken/unsupported model",
            "Core ML does not compute this graph on the units it was given",
            "use coreml:gpu, or the provider webgpu",
        ),
        Symptom(
            r"Error compiling model|Failed to (compile|create) MLModel|ANECCompile",
            "Core ML could not compile this graph for this Mac",
            "use coreml:gpu, or update macOS",
        ),
        Symptom(
            r"does not have Apple Neural Engine",
            "this Mac, or this virtual machine, has no Neural Engine",
            "use coreml:gpu",
        ),
        Symptom(
            r"CoreML EP is not supported on this platform",
            "this macOS is too old for Core ML's models",
            "update macOS to 12 or newer",
        ),
    ),
    driver=("/System/Library/CoreServices/SystemVersion.plist",),
)

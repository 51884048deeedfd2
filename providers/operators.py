"""What providers that implement most of ONNX have in common: the operators of our graphs and of Optimum's."""

from __future__ import annotations

from typing import Final

from onnxflow.providers.provider import operators

COMMON: Final = operators(
    """
    Abs Add ArgMax AveragePool BatchNormalization Cast Ceil Clip Concat Conv ConvTranspose Cos DepthToSpace Div Equal
    Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gemm GlobalAveragePool Greater GreaterOrEqual
    HardSigmoid Identity InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log MatMul MaxPool Mul Neg
    Not Pad Pow Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize ScatterND Shape Sigmoid
    Sin Slice Softmax Split Sqrt Squeeze Sub Tanh Tile Transpose Trilu Unsqueeze Where
    """
)
"""Taken by CUDA, DirectML, WebGPU, TensorRT, OpenVINO and MIGraphX alike, by the sources that each one's file names."""

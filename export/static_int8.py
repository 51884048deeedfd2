"""A graph with fp32 weights to one in int8 with fixed ranges of the activations, as a calibration found them.

The graph is in the QDQ form that every execution provider reads: a QuantizeLinear and a DequantizeLinear stand around
what is to be computed in int8, and ONNX Runtime puts them together (QLinearConv, MatMulIntegerToFloat). Weights are
signed with a scale for each output channel, activations unsigned with one scale for each tensor. Products of signed and
unsigned bytes saturate on x86 processors without VNNI: the runtime looks at that when it loads such a graph.

Layers that the calibration calls sensitive keep fp16 weights and compute in fp32; so do `conv_in` and `conv_out`. The
few Gemms of the time embedding have int8 weights and compute in fp32.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnxflow.export.calibration import Calibration, Range
from onnxflow.export.components import Component
from onnxflow.export.int8_weights import Int8Weights, Make, Weights, rewritten, scales, stored_in_int8
from onnxflow.export.trace import INLINE_LIMIT, Store, traced

LARGEST_BIAS = 2**30  # in steps of the product's scale, well within int32


def quantize(
    model: ModelProto, weights: Weights, calibration: Calibration, make: Make = numpy_helper.from_array
) -> ModelProto:
    """A copy of a graph without weights, in QDQ form; see `rewritten`."""
    return rewritten(model, weights, make, _Quantizer(calibration))


def write_static(
    component: Component, calibration: Calibration, path: Path, inline_limit: int = INLINE_LIMIT
) -> list[Path]:
    """Export a component in QDQ form to `path`, and return the files written, as `write_graph` does."""
    model, weights = traced(component)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path, sum(value.size for value in weights.values()) > inline_limit) as store:
        return store.write(quantize(model, weights, calibration, lambda value, name: store.tensor(name, value)))


class _Quantizer:
    """The rule of `rewritten`: remembers what is quantised, since several layers may read the same."""

    def __init__(self, calibration: Calibration) -> None:
        self._layers = calibration.layers
        self._read: dict[str, Range] = {}  # tensors that went through int8
        self._steps: dict[str, NDArray[np.float32]] = {}  # scales of stored weights

    def __call__(self, node: NodeProto, weight: str, writer: Int8Weights) -> list[NodeProto]:
        layer = self._layers.get(weight)
        if node.op_type == "Gemm":
            return [stored_in_int8(node, weight, writer)]
        if layer is None or layer.sensitive:
            return [node]
        nodes = self._quantised(node.input[0], layer.input, writer)
        source = f"{node.input[0]}.near"
        if node.op_type == "MatMul":
            nodes += self._matrix(weight, writer)
            return [*nodes, _changed(node, [source, f"{weight}.columns.fp32"], node.output[0])]
        nodes += self._filters(node, weight, writer)
        inputs, exact = [source, f"{weight}.rows.fp32"], f"{node.output[0]}.exact"
        if len(node.input) > 2:
            nodes.append(self._bias(node, weight, writer))
            inputs.append(f"{node.output[0]}.bias.fp32")
        return [*nodes, _changed(node, inputs, exact), *_through_int8(exact, node.output[0], layer.output, writer)]

    def _quantised(self, name: str, given: Range, writer: Int8Weights) -> list[NodeProto]:
        """The nodes that put a tensor through int8, when they are not there yet."""
        if name in self._read:
            return []
        self._read[name] = given
        return _through_int8(name, f"{name}.near", given, writer)

    def _matrix(self, weight: str, writer: Int8Weights) -> list[NodeProto]:
        name, value = f"{weight}.columns", writer.weights[weight].T.astype(np.float32)
        if name in self._steps:
            return []
        self._steps[name] = scales(value)
        return _stored(name, np.rint(value / self._steps[name]), self._steps[name], 1, writer)

    def _filters(self, node: NodeProto, weight: str, writer: Int8Weights) -> list[NodeProto]:
        name, value = f"{weight}.rows", writer.weights[weight].astype(np.float32)
        if name in self._steps:
            return []
        step = scales(value.reshape(len(value), -1).T)
        if len(node.input) > 2:  # a bias must be a number of int32 in steps of the product
            bias = np.abs(writer.weights[node.input[2]].astype(np.float32))
            step = np.maximum(step, bias / np.float32(self._read[node.input[0]].scale * LARGEST_BIAS))
        self._steps[name] = step
        rounded = np.rint(value / step.reshape(-1, *[1] * (value.ndim - 1)))
        return _stored(name, rounded, step, 0, writer)

    def _bias(self, node: NodeProto, weight: str, writer: Int8Weights) -> NodeProto:
        """A convolution's bias in int32, in steps of the product's scale, as QLinearConv adds it."""
        name = f"{node.output[0]}.bias"
        step = np.float32(self._read[node.input[0]].scale) * self._steps[f"{weight}.rows"]
        steps = np.rint(writer.weights[node.input[2]].astype(np.float64) / step).astype(np.int32)
        writer.add(name, steps)
        writer.add(f"{name}.scale", step)
        writer.add(f"{name}.zero", np.zeros(len(step), np.int32))
        inputs = [name, f"{name}.scale", f"{name}.zero"]
        return helper.make_node("DequantizeLinear", inputs, [f"{name}.fp32"], axis=0)


def _through_int8(source: str, target: str, given: Range, writer: Int8Weights) -> list[NodeProto]:
    """`source` rounded to the 256 steps of a range."""
    scale, zero = f"{target}.scale", f"{target}.zero"
    writer.add(scale, np.array(given.scale, np.float32))
    writer.add(zero, np.array(given.zero, np.uint8))
    return [
        helper.make_node("QuantizeLinear", [source, scale, zero], [f"{target}.uint8"]),
        helper.make_node("DequantizeLinear", [f"{target}.uint8", scale, zero], [target]),
    ]


def _stored(
    name: str, rounded: NDArray[np.float32], step: NDArray[np.float32], axis: int, writer: Int8Weights
) -> list[NodeProto]:
    """A weight in int8 with a scale for each index of an axis, and the node that widens it."""
    writer.add(name, rounded.astype(np.int8))
    writer.add(f"{name}.scale", step)
    writer.add(f"{name}.zero", np.zeros(len(step), np.int8))
    inputs = [name, f"{name}.scale", f"{name}.zero"]
    return [helper.make_node("DequantizeLinear", inputs, [f"{name}.fp32"], axis=axis)]


def _changed(node: NodeProto, inputs: list[str], output: str) -> NodeProto:
    changed = NodeProto()
    changed.CopyFrom(node)
    del changed.input[:]
    changed.input.extend(inputs)
    changed.output[0] = output
    return changed

"""A graph with fp32 weights to one with int8 weights, without any data to calibrate on.

Products of activations and weights (MatMul) are computed in int8: the activations are quantised as they come
(com.microsoft.DynamicQuantizeMatMul). So are large convolutions, as products of the patches under the kernel (im2col)
and the weights (com.microsoft.MatMulIntegerToFloat): ONNX Runtime has no fast kernel for a convolution of integers that
needs no calibration. Small convolutions and the few Gemms of the time embedding keep int8 weights too, but are computed
in fp32: the runtime folds the conversion at load, as it does for fp16 storage. Every output channel has a scale of its
own. What reads the picture or writes it (`conv_in`, `conv_out`) and everything small stays in fp16.

Activations have one scale for each call, whatever is in the batch: a picture drawn together with others is not bit by
bit the one drawn alone.

Weights are signed and activations unsigned, which on processors with VNNI is more than twice as fast as two unsigned
bytes (measured: 318 to 430 against 149 to 168 GOP/s on a Zen 4). On x86 processors without VNNI such products saturate:
the runtime looks at that when it loads such a graph, and has ONNX Runtime make the weights unsigned there.
"""

from pathlib import Path

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnxflow.export.components import Component
from onnxflow.export.int8_weights import Int8Weights, Make, Weights, rewritten, stored_in_int8
from onnxflow.export.trace import INLINE_LIMIT, Store, traced

# Weights from which a convolution's time is in its products, and int8 pays; one pixel wide, it needs no patches.
SMALLEST_CONVOLUTION = 250_000
SMALLEST_POINTWISE = 100_000


def quantize(model: ModelProto, weights: Weights, make: Make = numpy_helper.from_array) -> ModelProto:
    """A copy of a graph without weights, with int8 weights, and fp16 storage for the rest; see `rewritten`."""
    made = rewritten(model, weights, make, _quantized)
    _take_in_biases(made, weights)
    return made


def _quantized(node: NodeProto, weight: str, writer: Int8Weights) -> list[NodeProto]:
    if node.op_type == "MatMul":
        inputs = [node.input[0], *writer.columns(weight)]
        return [_contributed("DynamicQuantizeMatMul", inputs, list(node.output), node.name)]
    if node.op_type == "Conv" and _is_plain(node, writer.weights[weight].size):
        return _convolution(node, writer)
    return [stored_in_int8(node, weight, writer)]


def _take_in_biases(model: ModelProto, weights: Weights) -> None:
    """Let the products add their biases themselves, which saves a pass over their outputs."""
    readers: dict[str, list[NodeProto]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    products = {node.output[0]: node for node in model.graph.node if node.op_type == "DynamicQuantizeMatMul"}
    for name, product in products.items():
        (first, *others) = readers.get(name, [None])
        if others or first is None or first.op_type != "Add":
            continue
        (bias,) = (other for other in first.input if other != name)
        if bias in weights and weights[bias].ndim == 1:
            product.input.extend(["", bias])
            product.output[0] = first.output[0]
            model.graph.node.remove(first)


def _is_plain(node: NodeProto, size: int) -> bool:
    """Whether a convolution is large, and of the ordinary kind."""
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    ordinary = given.get("group", 1) == 1 and set(given.get("dilations", [1, 1])) == {1} and "auto_pad" not in given
    pointwise = set(given["kernel_shape"]) == {1}
    return ordinary and size >= (SMALLEST_POINTWISE if pointwise else SMALLEST_CONVOLUTION)


def _convolution(node: NodeProto, writer: Int8Weights) -> list[NodeProto]:
    """A convolution of quantised activations: of their patches, channels last, and the weights."""
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    height, width = given["kernel_shape"]
    top, left, bottom, right = given.get("pads", [0, 0, 0, 0])
    steps = list(given.get("strides", [1, 1]))
    base = node.output[0]
    quantised = [f"{base}.{name}" for name in ("uint8", "scale", "zero")]
    nodes = [
        helper.make_node("DynamicQuantizeLinear", [node.input[0]], quantised),
        helper.make_node("Transpose", [quantised[0]], [f"{base}.last"], perm=[0, 2, 3, 1]),
    ]
    source = f"{base}.last"
    if any((top, left, bottom, right)):  # with the zero point: the quantised zero
        edges = writer.constant([0, top, left, 0, 0, bottom, right, 0])
        nodes.append(helper.make_node("Pad", [source, edges, quantised[2]], [f"{base}.padded"]))
        source = f"{base}.padded"
    if (height, width) != (1, 1) or steps != [1, 1]:
        parts = []
        for row in range(height):
            for column in range(width):
                ends = [_end(row, height), _end(column, width)]
                limits = [writer.constant(list(values)) for values in ([row, column], ends, [1, 2], steps)]
                parts.append(f"{base}.{row}{column}")
                nodes.append(helper.make_node("Slice", [source, *limits], [parts[-1]]))
        nodes.append(helper.make_node("Concat", parts, [f"{base}.patches"], axis=3))
        source = f"{base}.patches"
    matrix, scale = writer.patches(node.input[1])
    inputs = [source, matrix, quantised[1], scale, quantised[2], "", *node.input[2:]]
    nodes.append(_contributed("MatMulIntegerToFloat", inputs, [f"{base}.products"], node.name))
    nodes.append(helper.make_node("Transpose", [f"{base}.products"], [base], perm=[0, 3, 1, 2]))
    return nodes


def _end(offset: int, size: int) -> int:
    """Where the pixels end that a kernel's row at this offset can see, counted from the picture's end."""
    return offset + 1 - size or np.iinfo(np.int64).max


def _contributed(kind: str, inputs: list[str], outputs: list[str], name: str) -> NodeProto:
    """A node of ONNX Runtime's own operators."""
    return helper.make_node(kind, inputs, outputs, name=name, domain="com.microsoft")


def write_quantized(component: Component, path: Path, inline_limit: int = INLINE_LIMIT) -> list[Path]:
    """Export a component with int8 weights to `path`, and return the files written, as `write_graph` does."""
    model, weights = traced(component)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path, sum(value.size for value in weights.values()) > inline_limit) as store:
        return store.write(quantize(model, weights, lambda value, name: store.tensor(name, value)))

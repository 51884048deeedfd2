"""A graph with fp32 weights to one with int8 weights, without any data to calibrate on.

Products of activations and weights (MatMul) are computed in int8: the activations are quantised as they come
(com.microsoft.DynamicQuantizeMatMul). So are large convolutions, as products of the patches under the kernel (im2col)
and the weights (com.microsoft.MatMulIntegerToFloat): ONNX Runtime has no fast kernel for a convolution of integers that
needs no calibration. Small convolutions and the few Gemms of the time embedding keep int8 weights too, but are computed
in fp32: the runtime folds the conversion at load, as it does for fp16 storage. Every output channel has a scale of its
own. What reads the picture or writes it (`conv_in`, `conv_out`) and everything small stays in fp16.

Activations have one scale for each call, whatever is in the batch: a picture drawn together with others is not bit by
bit the one drawn alone.

Weights of products are stored unsigned with zero point 128: products of two unsigned bytes do not saturate on
processors without VNNI, as those of a signed and an unsigned byte do.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnxflow.export.components import Component
from onnxflow.export.trace import INLINE_LIMIT, Store, traced

Weights = Mapping[str, NDArray[np.generic]]
Make = Callable[[NDArray[np.generic], str], TensorProto]

SMALLEST = 512  # elements of the smallest weight that is quantised
SMALLEST_CONVOLUTION = 250_000  # weights from which a convolution's time is in its products, and int8 pays
LARGEST_HALF = 65504.0
KEPT = ("conv_in.weight", "conv_out.weight")


def quantize(model: ModelProto, weights: Weights, make: Make = numpy_helper.from_array) -> ModelProto:
    """A copy of a graph without weights, with int8 weights, and fp16 storage for the rest.

    `weights` are in fp32, by the names that the graph's nodes read; `make(value, name)` makes the new graph's tensors
    of them, one at a time.
    """
    made = ModelProto()
    made.CopyFrom(model)
    writer = _Writer(weights, make)
    transposed = {
        node.output[0]: node.input[0]
        for node in made.graph.node
        if node.op_type == "Transpose" and node.input[0] in weights
    }
    nodes = [new for node in made.graph.node for new in _quantized(node, weights, transposed, writer)]
    given = {value.name for value in made.graph.output}
    used = {name for node in nodes for name in node.input} | given
    nodes = [node for node in nodes if node.op_type != "Transpose" or node.output[0] in used]
    used = {name for node in nodes for name in node.input} | given
    for name in weights:
        if name in used:
            writer.keep(name)
    del made.graph.node[:]
    made.graph.node.extend([*writer.nodes, *nodes])
    made.graph.initializer.extend(writer.tensors)
    if "com.microsoft" not in {opset.domain for opset in made.opset_import}:
        made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


class _Writer:
    """The initialisers of the new graph, and the nodes that make fp32 weights of them."""

    def __init__(self, weights: Weights, make: Make) -> None:
        self.weights = weights
        self._make = make
        self.tensors: list[TensorProto] = []
        self.nodes: list[NodeProto] = []
        self._done: set[tuple[str, str]] = set()  # weight and how it is stored

    def keep(self, name: str) -> None:
        """A weight as it is; fp32 ones that fp16 can hold in fp16 with a Cast under their own name."""
        value = self.weights[name]
        if value.dtype != np.float32 or np.abs(value).max(initial=0) > LARGEST_HALF:
            self.add(name, value)
            return
        self.add(name + ".fp16", value.astype(np.float16))
        self.nodes.append(helper.make_node("Cast", [name + ".fp16"], [name], to=TensorProto.FLOAT))

    def rows(self, name: str) -> str:
        """The name of a weight stored as int8 with one scale for each index of its first axis."""
        if (name, "rows") not in self._done:
            value = self.weights[name].astype(np.float32)
            scale = _scales(value.reshape(len(value), -1).T).reshape(-1, *[1] * (value.ndim - 1))
            self.add(name + ".int8", np.rint(value / scale).astype(np.int8))
            self.add(name + ".int8.scale", scale)
            self.nodes.append(helper.make_node("Cast", [name + ".int8"], [name + ".cast"], to=TensorProto.FLOAT))
            self.nodes.append(helper.make_node("Mul", [name + ".cast", name + ".int8.scale"], [name + ".fp32"]))
            self._done.add((name, "rows"))
        return name + ".fp32"

    def columns(self, name: str) -> list[str]:
        """Names of the transposed weight in uint8, of a scale for each of its columns, and of their zero points."""
        return self._matrix(name, self.weights[name].T)

    def patches(self, name: str) -> list[str]:
        """The same of a convolution's weight [out, in, h, w] as a matrix [h * w * in, out]."""
        value = self.weights[name]
        return self._matrix(name, value.transpose(2, 3, 1, 0).reshape(-1, len(value)))

    def constant(self, values: list[int]) -> str:
        """The name of a list of whole numbers."""
        name = "int64." + "_".join(map(str, values))
        if (name, "constant") not in self._done:
            self.add(name, np.array(values, np.int64))
            self._done.add((name, "constant"))
        return name

    def _matrix(self, name: str, matrix: NDArray[np.generic]) -> list[str]:
        names = [name + suffix for suffix in (".uint8", ".uint8.scale", ".uint8.zero")]
        if (name, "columns") not in self._done:
            value = matrix.astype(np.float32)
            scale = _scales(value)
            self.add(names[0], (np.rint(value / scale) + 128).astype(np.uint8))
            self.add(names[1], scale)
            self.add(names[2], np.full(len(scale), 128, np.uint8))
            self._done.add((name, "columns"))
        return names

    def add(self, name: str, value: NDArray[np.generic]) -> None:
        """One initialiser."""
        self.tensors.append(self._make(np.ascontiguousarray(value), name))


def _scales(columns: NDArray[np.generic]) -> NDArray[np.float32]:
    """The step of each column so that its largest value is 127 steps; one for a column of zeros."""
    largest = np.abs(columns.astype(np.float32)).max(0)
    return np.where(largest > 0, largest / 127, 1).astype(np.float32)


def _quantized(node: NodeProto, weights: Weights, transposed: dict[str, str], writer: _Writer) -> list[NodeProto]:
    if node.op_type == "Conv" and _large(node.input[1], weights) and _is_plain(node, weights[node.input[1]].size):
        return _convolution(node, writer)
    if node.op_type in ("Conv", "Gemm") and _large(node.input[1], weights):
        changed = NodeProto()
        changed.CopyFrom(node)
        changed.input[1] = writer.rows(node.input[1])
        return [changed]
    source = transposed.get(node.input[1], "") if node.op_type == "MatMul" else ""
    if _large(source, weights):
        inputs = [node.input[0], *writer.columns(source)]
        return [_contributed("DynamicQuantizeMatMul", inputs, list(node.output), node.name)]
    return [node]


def _is_plain(node: NodeProto, size: int) -> bool:
    """Whether a convolution is large, and of the ordinary kind."""
    given = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    ordinary = given.get("group", 1) == 1 and set(given.get("dilations", [1, 1])) == {1} and "auto_pad" not in given
    return ordinary and size >= SMALLEST_CONVOLUTION


def _convolution(node: NodeProto, writer: _Writer) -> list[NodeProto]:
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
    matrix, scale, zero = writer.patches(node.input[1])
    inputs = [source, matrix, quantised[1], scale, quantised[2], zero, *node.input[2:]]
    nodes.append(_contributed("MatMulIntegerToFloat", inputs, [f"{base}.products"], node.name))
    nodes.append(helper.make_node("Transpose", [f"{base}.products"], [base], perm=[0, 3, 1, 2]))
    return nodes


def _end(offset: int, size: int) -> int:
    """Where the pixels end that a kernel's row at this offset can see, counted from the picture's end."""
    return offset + 1 - size or np.iinfo(np.int64).max


def _contributed(kind: str, inputs: list[str], outputs: list[str], name: str) -> NodeProto:
    """A node of ONNX Runtime's own operators."""
    return helper.make_node(kind, inputs, outputs, name=name, domain="com.microsoft")


def _large(name: str, weights: Weights) -> bool:
    return name in weights and weights[name].size >= SMALLEST and not name.endswith(KEPT)


def write_quantized(component: Component, path: Path, inline_limit: int = INLINE_LIMIT) -> list[Path]:
    """Export a component with int8 weights to `path`, and return the files written, as `write_graph` does."""
    model, weights = traced(component)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path, sum(value.size for value in weights.values()) > inline_limit) as store:
        return store.write(quantize(model, weights, lambda value, name: store.tensor(name, value)))

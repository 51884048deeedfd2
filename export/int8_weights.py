"""Weights in int8: how they are rounded, how a graph stores them, and how a graph is rewritten to use them."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

Weights = Mapping[str, NDArray[np.generic]]
Make = Callable[[NDArray[np.generic], str], TensorProto]

SMALLEST = 512  # elements of the smallest weight that is quantised
LARGEST_HALF = 65504.0
KEPT = ("conv_in.weight", "conv_out.weight")


class Int8Weights:
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
            scale = scales(value.reshape(len(value), -1).T).reshape(-1, *[1] * (value.ndim - 1))
            self.add(name + ".int8", np.rint(value / scale).astype(np.int8))
            self.add(name + ".int8.scale", scale)
            self.nodes.append(helper.make_node("Cast", [name + ".int8"], [name + ".cast"], to=TensorProto.FLOAT))
            self.nodes.append(helper.make_node("Mul", [name + ".cast", name + ".int8.scale"], [name + ".fp32"]))
            self._done.add((name, "rows"))
        return name + ".fp32"

    def columns(self, name: str) -> list[str]:
        """Names of the transposed weight in int8 and of a scale for each of its columns."""
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
        names = [name + suffix for suffix in (".columns", ".columns.scale")]
        if (name, "columns") not in self._done:
            value = matrix.astype(np.float32)
            scale = scales(value)
            self.add(names[0], np.rint(value / scale).astype(np.int8))
            self.add(names[1], scale)
            self._done.add((name, "columns"))
        return names

    def add(self, name: str, value: NDArray[np.generic]) -> None:
        """One initialiser."""
        self.tensors.append(self._make(np.ascontiguousarray(value).reshape(value.shape), name))


Rule = Callable[[NodeProto, str, Int8Weights], list[NodeProto]]
"""What takes the place of a node that multiplies with the weight of this name, [out, in] or a convolution's."""


def rewritten(model: ModelProto, weights: Weights, make: Make, rule: Rule) -> ModelProto:
    """A copy of a graph without weights in which `rule` replaced every Conv, Gemm and MatMul that has a large weight;
    all other weights are stored in fp16.

    `weights` are in fp32, by the names that the graph's nodes read; `make(value, name)` makes the new graph's tensors
    of them, one at a time.
    """
    made = ModelProto()
    made.CopyFrom(model)
    writer = Int8Weights(weights, make)
    transposed = {
        node.output[0]: node.input[0]
        for node in made.graph.node
        if node.op_type == "Transpose" and node.input[0] in weights
    }
    nodes: list[NodeProto] = []
    for node in made.graph.node:
        weight = _weight_of(node, transposed)
        nodes += rule(node, weight, writer) if _is_large(weight, weights) else [node]
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


def stored_in_int8(node: NodeProto, weight: str, writer: Int8Weights) -> NodeProto:
    """A Conv or Gemm that computes in fp32 with a weight that is stored in int8."""
    changed = NodeProto()
    changed.CopyFrom(node)
    changed.input[1] = writer.rows(weight)
    return changed


def _weight_of(node: NodeProto, transposed: Mapping[str, str]) -> str:
    if node.op_type in ("Conv", "Gemm"):
        return str(node.input[1])
    return transposed.get(node.input[1], "") if node.op_type == "MatMul" else ""


def _is_large(name: str, weights: Weights) -> bool:
    return name in weights and weights[name].size >= SMALLEST and not name.endswith(KEPT)


def scales(columns: NDArray[np.generic]) -> NDArray[np.float32]:
    """The step of each column so that its largest value is 127 steps; one for a column of zeros."""
    largest = np.abs(columns.astype(np.float32)).max(0)
    return np.where(largest > 0, largest / 127, 1).astype(np.float32)

"""A graph with fp32 weights to one with int8 weights, without any data to calibrate on.

Products of activations and weights (MatMul) are computed in int8: the activations are quantised as they come
(com.microsoft.DynamicQuantizeMatMul). Convolutions and the few Gemms of the time embedding keep int8 weights too, but
are computed in fp32: the runtime folds the conversion at load, as it does for fp16 storage. Every output channel has a
scale of its own. What reads the picture or writes it (`conv_in`, `conv_out`) and everything small stays in fp16.

Activations have one scale for each call, whatever is in the batch: a picture drawn together with others is not bit by
bit the one drawn alone.

Weights of MatMuls are stored unsigned with zero point 128: products of two unsigned bytes do not saturate on processors
without VNNI, as those of a signed and an unsigned byte do.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

SMALLEST = 512  # elements of the smallest weight that is quantised
LARGEST_HALF = 65504.0
KEPT = ("conv_in.weight", "conv_out.weight")


def quantize(model: ModelProto) -> ModelProto:
    """A copy of a model, whose weights are fp32 initialisers, with int8 weights and fp16 storage for the rest."""
    made = ModelProto()
    made.CopyFrom(model)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    writer = _Writer(weights)
    transposed = {
        node.output[0]: node.input[0]
        for node in made.graph.node
        if node.op_type == "Transpose" and node.input[0] in weights
    }
    nodes = [_quantized(node, weights, transposed, writer) for node in made.graph.node]
    given = {value.name for value in made.graph.output}
    used = {name for node in nodes for name in node.input} | given
    nodes = [node for node in nodes if node.op_type != "Transpose" or node.output[0] in used]
    used = {name for node in nodes for name in node.input} | given
    for name in weights:
        if name in used:
            writer.keep(name)
    del made.graph.node[:]
    del made.graph.initializer[:]
    made.graph.node.extend([*writer.nodes, *nodes])
    made.graph.initializer.extend(writer.tensors)
    if "com.microsoft" not in {opset.domain for opset in made.opset_import}:
        made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return made


class _Writer:
    """The initialisers of the new graph, and the nodes that make fp32 weights of them."""

    def __init__(self, weights: dict[str, NDArray[np.generic]]) -> None:
        self.weights = weights
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
        names = [name + suffix for suffix in (".uint8", ".uint8.scale", ".uint8.zero")]
        if (name, "columns") not in self._done:
            value = self.weights[name].T.astype(np.float32)
            scale = _scales(value)
            self.add(names[0], (np.rint(value / scale) + 128).astype(np.uint8))
            self.add(names[1], scale)
            self.add(names[2], np.full(len(scale), 128, np.uint8))
            self._done.add((name, "columns"))
        return names

    def add(self, name: str, value: NDArray[np.generic]) -> None:
        """One initialiser."""
        self.tensors.append(numpy_helper.from_array(np.ascontiguousarray(value), name))


def _scales(columns: NDArray[np.generic]) -> NDArray[np.float32]:
    """The step of each column so that its largest value is 127 steps; one for a column of zeros."""
    largest = np.abs(columns.astype(np.float32)).max(0)
    return np.where(largest > 0, largest / 127, 1).astype(np.float32)


def _quantized(
    node: NodeProto, weights: dict[str, NDArray[np.generic]], transposed: dict[str, str], writer: _Writer
) -> NodeProto:
    if node.op_type in ("Conv", "Gemm") and _large(node.input[1], weights):
        changed = NodeProto()
        changed.CopyFrom(node)
        changed.input[1] = writer.rows(node.input[1])
        return changed
    source = transposed.get(node.input[1], "") if node.op_type == "MatMul" else ""
    if _large(source, weights):
        inputs = [node.input[0], *writer.columns(source)]
        return helper.make_node(
            "DynamicQuantizeMatMul", inputs, list(node.output), name=node.name, domain="com.microsoft"
        )
    return node


def _large(name: str, weights: dict[str, NDArray[np.generic]]) -> bool:
    return name in weights and weights[name].size >= SMALLEST and not name.endswith(KEPT)


def save_quantized(source: Path, target: Path) -> None:
    """Quantise a file with fp32 weights into another; its weights are inline, so it must end below 2 GiB."""
    target.write_bytes(quantize(onnx.load(source)).SerializeToString(deterministic=True))

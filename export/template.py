"""A template: a component's graph whose weights are named, typed and shaped, and lie nowhere yet.

Whoever has the weights says where each lies (onnxflow.models.template). Each is followed by a Cast, so that one
template serves files in any precision, and matrices are multiplied as the file has them, [out, in].
"""

import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from onnxflow.export.components import Component
from onnxflow.export.dynamic_int8 import quantize
from onnxflow.export.trace import graph_of

OPSET = 19  # the first in which Cast reads FP8
IR_VERSION = 9
WRAPPED = "text_model."  # before the names of a text encoder with a projection: the others have them without
FREE = "in_channels"  # a denoiser's input is wider where it inpaints: its graph is the same

Shapes = Mapping[str, tuple[int, ...]]


def template_of(component: Component) -> ModelProto:
    """The template that runs in fp32, whatever the weights are stored in."""
    model, shapes = _traced(component)
    _by_rows(model, shapes)
    casts = [helper.make_node("Cast", [name], [f"{name}.fp32"], to=TensorProto.FLOAT) for name in shapes]
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = f"{name}.fp32" if name in shapes else name
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(_hollow(name, shape, TensorProto.FLOAT16) for name, shape in shapes.items())
    return _finished(model)


def int8_template_of(component: Component) -> ModelProto:
    """The template that runs in dynamic int8: its weights are those that dynamic_int8 names and shapes."""
    model, shapes = _traced(component)
    weights = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    return _finished(quantize(model, weights, _made))


def write_template(model: ModelProto, path: Path) -> None:
    """Write a template, compressed, the same bytes every time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(model.SerializeToString(deterministic=True), 9, mtime=0))


def _traced(component: Component) -> tuple[ModelProto, Shapes]:
    model, own = graph_of(component, OPSET)
    names = {found: found.removeprefix(WRAPPED) for found in own.values()}
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)
    parameters = {**dict(component.module.named_parameters()), **dict(component.module.named_buffers())}
    return model, {names[own[name]]: tuple(parameters[name].shape) for name in own}


def _by_rows(model: ModelProto, shapes: Shapes) -> None:
    """Let products read matrices as they are stored: FusedMatMul transposes while it multiplies."""
    transposed = {
        node.output[0]: node.input[0]
        for node in model.graph.node
        if node.op_type == "Transpose" and node.input[0] in shapes
    }
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in transposed:
            inputs = [node.input[0], transposed[node.input[1]]]
            nodes.append(
                helper.make_node(
                    "FusedMatMul", inputs, list(node.output), name=node.name, domain="com.microsoft", transB=1
                )
            )
        else:
            nodes.append(node)
    read = {name for node in nodes for name in node.input}
    del model.graph.node[:]
    model.graph.node.extend(node for node in nodes if node.output[0] in read or node.output[0] not in transposed)


def _finished(model: ModelProto) -> ModelProto:
    model.ir_version = IR_VERSION
    if "com.microsoft" not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    for value in model.graph.input:
        if value.name == "sample":
            value.type.tensor_type.shape.dim[1].dim_param = FREE
    return model


def _made(value: NDArray[np.generic], name: str) -> TensorProto:
    """A number that the graph needs as it is, or a weight that lies nowhere."""
    if value.dtype == np.int64:
        return numpy_helper.from_array(value, name)
    return _hollow(name, value.shape, helper.np_dtype_to_tensor_dtype(value.dtype))


def _hollow(name: str, shape: tuple[int, ...], kind: int) -> TensorProto:
    return TensorProto(name=name, dims=shape, data_type=kind, data_location=TensorProto.EXTERNAL)

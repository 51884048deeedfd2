"""A torch module to an ONNX file whose weights keep their names and lie as the module has them, in fp32 or in fp16.

The export first makes every weight an input of the graph (nothing folded, nothing anonymous); then the weights are
attached.
"""

import io
import warnings
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper

from onnxflow.export.components import Component

OPSET = 17
INLINE_LIMIT = 1_000_000_000  # bytes of weights from which they get a file of their own; a graph file ends at 2 GiB
WEIGHTS_FILE = "weights.bin"
Storage = Literal["fp32", "fp16"]


def write_graph(component: Component, path: Path, storage: Storage, inline_limit: int = INLINE_LIMIT) -> None:
    """Export a component to `path`; weights larger than `inline_limit` go to weights.bin beside it.

    With storage "fp16" every float weight is stored in half precision and followed by a Cast: the runtime folds it at
    load.
    """
    weights = _weights(component)
    model = _traced(component, list(weights))
    path.parent.mkdir(parents=True, exist_ok=True)
    stored = {name: _stored(value, storage) for name, value in weights.items()}
    if sum(value.nbytes for value in stored.values()) > inline_limit:
        with (path.parent / WEIGHTS_FILE).open("wb") as file:
            tensors = [_external(name, value, file) for name, value in stored.items()]
    else:
        tensors = [_inline(name, value) for name, value in stored.items()]
    _attach(model, tensors)
    path.write_bytes(model.SerializeToString(deterministic=True))


def _weights(component: Component) -> dict[str, NDArray[np.generic]]:
    """Parameters and buffers by the names they have in the traced graph."""
    named = [*component.module.named_parameters(), *component.module.named_buffers()]
    return {name: value.detach().cpu().contiguous().numpy() for name, value in named}


def _traced(component: Component, weights: list[str]) -> ModelProto:
    dynamic = {
        name: {axis: dim for axis, dim in enumerate(dims) if isinstance(dim, str)}
        for name, dims in {**component.inputs, **component.outputs}.items()
    }
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the tracer warns about Python control flow that is constant for a model
        torch.onnx.export(
            component.module,
            tuple(component.examples.values()),
            buffer,
            dynamo=False,
            opset_version=OPSET,
            export_params=False,
            do_constant_folding=False,
            keep_initializers_as_inputs=True,
            custom_opsets={"com.microsoft": 1},
            input_names=list(component.examples),
            output_names=list(component.outputs),
            dynamic_axes=dynamic,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    _strip(model)
    _keep_inputs(model, component, weights)
    _name_dims(model, component)
    _shorten_names(model, {*component.inputs, *component.outputs, *weights})
    return model


def _strip(model: ModelProto) -> None:
    """Remove what only a debugger reads: doc strings, stack traces, intermediate types."""
    model.doc_string = ""
    model.graph.doc_string = ""
    model.producer_name, model.producer_version = "onnxflow", ""
    del model.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]


def _shorten_names(model: ModelProto, kept: set[str]) -> None:
    """Number the values between the nodes: their names repeat the nodes', and make up a third of a small graph."""
    short: dict[str, str] = {}
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name and name not in kept:
                node.output[index] = short.setdefault(name, f"v{len(short)}")
        for index, name in enumerate(node.input):
            node.input[index] = short.get(name, name)


def _keep_inputs(model: ModelProto, component: Component, weights: list[str]) -> None:
    """Leave only the component's own inputs; every other input of the trace must be one of its weights."""
    wanted = [value for value in model.graph.input if value.name in component.inputs]
    unknown = [v.name for v in model.graph.input if v.name not in component.inputs and v.name not in weights]
    if unknown or [value.name for value in wanted] != list(component.inputs):
        raise ValueError(f"{component.name}: the trace has inputs {[v.name for v in wanted]} and unknown {unknown}")
    del model.graph.input[:]
    model.graph.input.extend(wanted)


def _name_dims(model: ModelProto, component: Component) -> None:
    for value in [*model.graph.input, *model.graph.output]:
        dims = component.inputs.get(value.name) or component.outputs[value.name]
        kind = value.type.tensor_type.elem_type
        value.CopyFrom(helper.make_tensor_value_info(value.name, kind, dims))


def _stored(value: NDArray[np.generic], storage: Storage) -> NDArray[np.generic]:
    return value.astype(np.float16) if storage == "fp16" and value.dtype == np.float32 else value


def _inline(name: str, value: NDArray[np.generic]) -> TensorProto:
    tensor = _described(name, value)
    tensor.raw_data = value.tobytes()
    return tensor


def _external(name: str, value: NDArray[np.generic], file: BinaryIO) -> TensorProto:
    tensor = _described(name, value)
    file.write(b"\0" * (-file.tell() % 64))
    tensor.data_location = TensorProto.EXTERNAL
    for key, content in (("location", WEIGHTS_FILE), ("offset", file.tell()), ("length", value.nbytes)):
        tensor.external_data.add(key=key, value=str(content))
    file.write(value.tobytes())
    return tensor


def _described(name: str, value: NDArray[np.generic]) -> TensorProto:
    return TensorProto(name=name, dims=value.shape, data_type=helper.np_dtype_to_tensor_dtype(value.dtype))


def _attach(model: ModelProto, tensors: list[TensorProto]) -> None:
    """Give the graph its weights, under the network's own names; fp16 ones are cast to fp32 first."""
    used = {name for node in model.graph.node for name in node.input}
    casts = []
    renamed: dict[str, str] = {}
    for tensor in tensors:
        if tensor.name not in used:
            continue
        traced, tensor.name = tensor.name, tensor.name.removeprefix("network.")
        renamed[traced] = tensor.name
        if tensor.data_type == TensorProto.FLOAT16:
            renamed[traced] = tensor.name + ".fp32"
            casts.append(helper.make_node("Cast", [tensor.name], [renamed[traced]], to=TensorProto.FLOAT))
        model.graph.initializer.append(tensor)
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)

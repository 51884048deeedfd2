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
from onnx import ModelProto, NodeProto, TensorProto, helper

from onnxflow.errors import ModelError
from onnxflow.export.components import Component
from onnxflow.export.half import INNER

OPSET = 17
# Bytes of weights from which they get a file of their own. A graph file could have 2 GiB, but protobuf needs memory for
# three copies to write it: of a denoiser of 844 MB it took 2.3 GB more than with a file of their own.
INLINE_LIMIT = 100_000_000
SMALL = 1024  # bytes of a tensor that stays in the graph all the same: ONNX Runtime infers shapes from some, as Pad's
Storage = Literal["fp32", "fp16", "native"]


def write_graph(component: Component, path: Path, storage: Storage, inline_limit: int = INLINE_LIMIT) -> list[Path]:
    """Export a component to `path`, and return the files written: weights larger than `inline_limit` go to a .bin file
    of the same name.

    With storage "fp16" every float weight is stored in half precision and followed by a Cast: the runtime folds it at
    load. With "native" weights are stored as the network has them.
    """
    model, weights = traced(component)
    half = storage == "fp16"
    total = sum(value.nbytes // (2 if half and value.dtype == np.float32 else 1) for value in weights.values())
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store(path, total > inline_limit) as store:
        casts: list[NodeProto] = []
        widened: dict[str, str] = {}
        for name, value in weights.items():
            stored = value
            if half and value.dtype == np.float32:
                stored, widened[name] = value.astype(np.float16), f"{name}.fp32"
                casts.append(helper.make_node("Cast", [name], [widened[name]], to=TensorProto.FLOAT))
            model.graph.initializer.append(store.tensor(name, stored))
        _rename(model, widened)
        nodes = [*casts, *model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
        return store.write(model)


class Store:
    """Where a graph and its tensors are written: into one file, or the contents of all but small tensors into a .bin
    file beside it."""

    def __init__(self, path: Path, beside: bool) -> None:
        self._path = path
        self._location = path.with_suffix(".bin")
        self._file: BinaryIO | None = self._location.open("wb") if beside else None

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def tensor(self, name: str, value: NDArray[np.generic]) -> TensorProto:
        """A tensor of the graph; its contents are written at once if they lie beside it."""
        value = np.ascontiguousarray(value).reshape(value.shape)
        tensor = TensorProto(name=name, dims=value.shape, data_type=helper.np_dtype_to_tensor_dtype(value.dtype))
        if self._file is None or value.nbytes < SMALL:
            tensor.raw_data = value.tobytes()
            return tensor
        self._file.write(b"\0" * (-self._file.tell() % 64))
        tensor.data_location = TensorProto.EXTERNAL
        places = {"location": self._location.name, "offset": self._file.tell(), "length": value.nbytes}
        for key, content in places.items():
            tensor.external_data.add(key=key, value=str(content))
        self._file.write(value.tobytes())
        return tensor

    def write(self, model: ModelProto) -> list[Path]:
        """Write the graph itself, and return all files; ModelError when ONNX's own checker finds it wrong."""
        self._path.write_bytes(model.SerializeToString(deterministic=True))
        if self._file is not None:
            self._file.flush()  # the checker looks whether it is as long as the graph says
        try:
            onnx.checker.check_model(str(self._path))
        except onnx.checker.ValidationError as error:
            reason = (str(error).strip().splitlines() or ["no reason given"])[0][:300]
            raise ModelError(
                f"the graph that was made is not valid ONNX: {reason}",
                where=str(self._path),
                hint="please report it with the model's name",
            ) from error
        return [self._path] if self._file is None else [self._path, self._location]


def traced(component: Component) -> tuple[ModelProto, dict[str, NDArray[np.generic]]]:
    """A component's graph without weights, and the weights that it uses, by the network's own names; they share the
    network's memory."""
    model, own = graph_of(component)
    weights = dict(_named(component))
    return model, {own[name]: weights[name].detach().cpu().contiguous().numpy() for name in own}


def graph_of(component: Component, opset: int = OPSET) -> tuple[ModelProto, dict[str, str]]:
    """A component's graph, whose weights are in it by their names only, and the weights that it uses: the network's own
    names by the module's. No weight is read."""
    names = [name for name, _ in _named(component)]
    model = _traced(component, names, opset)
    used = {name for node in model.graph.node for name in node.input}
    own = {name: name.removeprefix(INNER).removeprefix("network.") for name in names if name in used}
    _rename(model, own)
    return model, own


def _named(component: Component) -> list[tuple[str, torch.Tensor]]:
    return [*component.module.named_parameters(), *component.module.named_buffers()]


def _rename(model: ModelProto, names: dict[str, str]) -> None:
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            node.input[index] = names.get(name, name)


def _traced(component: Component, weights: list[str], opset: int) -> ModelProto:
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
            opset_version=opset,
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

# ruff: noqa: E402
from pathlib import Path

import numpy as np
import pytest
from exact_session import exact_session

torch = pytest.importorskip("torch")

import onnx
from diffusers import UNet2DConditionModel
from onnx import TensorProto, helper

from onnxflow.errors import ModelError
from onnxflow.export import components
from onnxflow.export.components import Component
from onnxflow.export.dynamic_int8 import write_quantized
from onnxflow.export.trace import Store, _shorten_names, write_graph


def test_values_between_nodes_are_numbered_and_what_has_a_name_keeps_it() -> None:
    nodes = [
        helper.make_node("Split", ["x", "sizes"], ["/block/long/Split_output_0", "", "/block/long/Split_output_1"]),
        helper.make_node("Mul", ["/block/long/Split_output_1", "network.weight"], ["/block/Mul_output_0"]),
        helper.make_node("Clip", ["/block/Mul_output_0", "", "/block/long/Split_output_0"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "g", [], [])
    model = helper.make_model(graph)
    _shorten_names(model, {"x", "y", "sizes", "network.weight"})
    assert [(list(node.input), list(node.output)) for node in model.graph.node] == [
        (["x", "sizes"], ["v0", "", "v1"]),
        (["v1", "network.weight"], ["v2"]),
        (["v2", "", "v0"], ["y"]),
    ]


@pytest.mark.parametrize("storage", ["fp32", "fp16"])
def test_an_exported_graph_has_no_other_names(random_model: Path, tmp_path: Path, storage: str) -> None:
    network = UNet2DConditionModel.from_pretrained(str(random_model / "unet")).float().eval()
    write_graph(components.unet(network), tmp_path / "model.onnx", storage)
    graph = onnx.load(tmp_path / "model.onnx").graph
    named = {"out_sample", *(f"{tensor.name}.fp32" for tensor in graph.initializer)}
    between = [name for node in graph.node for name in node.output if name not in named]
    assert between == [f"v{index}" for index in range(len(between))]
    known = {*between, *named, *network.state_dict(), *(value.name for value in graph.input)}
    assert {name for node in graph.node for name in node.input if name} <= known
    assert not any(attribute.HasField("g") for node in graph.node for attribute in node.attribute)


def test_a_quantised_convolution_loads_with_its_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    convolution = torch.nn.Conv2d(128, 256, 3, padding=1).eval()
    sample = torch.ones(1, 128, 4, 4)
    axes = {"in": ("batch", 128, "height", "width"), "out": ("batch", 256, "height", "width")}
    made = Component("large", convolution, {"in": sample}, {"in": axes["in"]}, {"out": axes["out"]})
    files = write_quantized(made, tmp_path / "large.onnx", inline_limit=100)
    assert [file.name for file in files] == ["large.onnx", "large.bin"]
    session = exact_session(str(files[0]))  # reads Pad's edges from the graph
    (given,) = session.run(None, {"in": sample.numpy()})
    wanted = convolution(sample).detach()
    assert float((torch.from_numpy(given) - wanted).abs().max()) < 0.02 * float(wanted.abs().max())


@pytest.mark.parametrize("beside", [False, True])
def test_a_graph_that_onnx_finds_wrong_is_refused(beside: bool, tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    node = helper.make_node("Relu", ["y"], ["x"])  # reads what nothing gives
    graph = helper.make_graph([node], "wrong", [], [value])
    with Store(tmp_path / "model.onnx", beside) as store:
        graph.initializer.append(store.tensor("w", np.zeros(1000, np.float32)))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        with pytest.raises(ModelError, match="not valid ONNX"):
            store.write(model)

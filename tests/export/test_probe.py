import numpy as np
import pytest

pytest.importorskip("torch")

from onnx import TensorProto, helper, numpy_helper

from onnxflow.providers import saturation


def test_the_probe_for_saturation_is_the_product_that_it_should_be() -> None:
    rows = saturation._ROWS
    node = helper.make_node("MatMulInteger", ["a", "b", "za", "zb"], ["y"])
    weights = {"b": np.full((rows, 16), 127, np.int8), "za": np.uint8(0), "zb": np.int8(0)}
    graph = helper.make_graph(
        [node],
        "saturation",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [1, rows])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [1, 16])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert saturation._PROBE.read_bytes() == model.SerializeToString(deterministic=True)

"""The graphs in assets/probe are what ``onnxflow.export.probe_graph`` builds."""

from __future__ import annotations

from importlib.resources import files

import pytest

pytest.importorskip("onnx")

from onnxflow.export.probe_graph import BLOCKS, CHANNELS, HALVINGS, WIDTH, probe_bytes, probe_model
from onnxflow.providers.trial import operations


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_the_graphs_are_what_the_exporter_builds(precision: str) -> None:
    content = (files("onnxflow.assets") / "probe" / f"{precision}.onnx").read_bytes()
    assert content == probe_bytes(precision), "run python -m onnxflow.export.probe_graph onnxflow/assets/probe"
    assert len(content) < 250_000


def test_operations_are_those_of_the_graph() -> None:
    """Counted node by node from the sizes, as onnx infers them."""
    size = 32
    count, pixels, tokens = 0, size * size, (size // 2**HALVINGS) ** 2
    for node in probe_model("float32").graph.node:
        if node.op_type == "Conv":
            (stride,) = {value for one in node.attribute if one.name == "strides" for value in one.ints}
            pixels //= stride * stride
            count += 2 * 9 * (CHANNELS if node.input[1] == "enter" else WIDTH) * WIDTH * pixels
        elif node.op_type == "MatMul":
            count += 2 * tokens * WIDTH * (CHANNELS if node.input[1] == "leave" else WIDTH)
        elif node.op_type == "MultiHeadAttention":
            count += 4 * tokens * tokens * WIDTH
    assert BLOCKS == 3
    assert operations(1, size) == count
    assert operations(4, size) == 4 * count

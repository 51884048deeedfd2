"""The small graphs that a device is tried with: convolutions and attention, as in a denoiser, in two precisions.

``python -m onnxflow.export.probe_graph FOLDER`` writes float32.onnx and float16.onnx. What they compute is told in
``onnxflow.providers.trial``, which counts their operations.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

CHANNELS, WIDTH, HEADS, BLOCKS, HALVINGS = 4, 64, 2, 3, 2
LOUD = 2.0
_PRIME = 2003


def weight(shape: tuple[int, ...], fan_in: int, seed: int) -> NDArray[np.float64]:
    """Numbers of variance 1 / fan_in that look random: quadratic residues, the same on every machine."""
    place = np.arange(int(np.prod(shape)), dtype=np.int64)
    residues = (place * place * 797 + place * 1049 + seed * 577) % _PRIME
    return (residues / _PRIME - 0.5).reshape(shape) * (12 / fan_in) ** 0.5


def probe_model(precision: str) -> onnx.ModelProto:
    """The probe with weights, input and output in ``precision`` ("float32", "float16")."""
    kind = np.dtype(precision)
    number = helper.np_dtype_to_tensor_dtype(kind)
    values: dict[str, NDArray[np.float64]] = {
        "enter": weight((WIDTH, CHANNELS, 3, 3), CHANNELS * 9, 1),
        "mix": weight((WIDTH, WIDTH, 3, 3), WIDTH * 9, 2),
        # Scores that differ, and an attention that outweighs what goes around it: a wrong one must show in the answer.
        **{name: LOUD * weight((WIDTH, WIDTH), WIDTH, seed) for seed, name in enumerate(("q", "k", "v", "o"), start=3)},
        "leave": weight((WIDTH, CHANNELS), WIDTH, 7),
        "one": np.ones(WIDTH),
        "zero": np.zeros(WIDTH),
    }
    initializers = [numpy_helper.from_array(value.astype(kind), name) for name, value in values.items()]
    initializers.append(numpy_helper.from_array(np.array([0, WIDTH, -1], np.int64), "tokens_shape"))
    nodes: list[onnx.NodeProto] = []

    def add(operator: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> str:
        nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def convolution(given: str, output: str, kernel: str = "mix", stride: int = 1) -> str:
        pads, strides = [1, 1, 1, 1], [stride, stride]
        return add("Conv", [given, kernel, "zero"], output, kernel_shape=[3, 3], pads=pads, strides=strides)

    now = convolution("x", "entered", "enter")
    for block in range(BLOCKS):
        normal = add("InstanceNormalization", [now, "one", "zero"], f"normal_{block}", epsilon=1e-5)
        gate = add("Sigmoid", [normal], f"gate_{block}")
        silu = add("Mul", [normal, gate], f"silu_{block}")
        now = add("Add", [now, convolution(silu, f"mixed_{block}")], f"block_{block}")
    for halving in range(HALVINGS):
        now = convolution(now, f"half_{halving}", stride=2)
    flat = add("Reshape", [now, "tokens_shape"], "flat")
    tokens = add("Transpose", [flat], "tokens", perm=[0, 2, 1])
    normal = add("LayerNormalization", [tokens, "one", "zero"], "token_normal", axis=-1, epsilon=1e-5)
    parts = [add("MatMul", [normal, name], f"{name}_tokens") for name in ("q", "k", "v")]
    mixed = add("MultiHeadAttention", parts, "attended", "com.microsoft", num_heads=HEADS, unidirectional=0)
    after = add("Add", [tokens, add("MatMul", [mixed, "o"], "o_tokens")], "after")
    add("MatMul", [add("LayerNormalization", [after, "one", "zero"], "last", axis=-1, epsilon=1e-5), "leave"], "y")
    graph = helper.make_graph(
        nodes,
        f"probe in {precision}",
        [helper.make_tensor_value_info("x", number, ["batch", CHANNELS, "height", "width"])],
        [helper.make_tensor_value_info("y", number, ["batch", "tokens", CHANNELS])],
        initializers,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, producer_name="onnxflow", opset_imports=opsets, ir_version=8)


def probe_bytes(precision: str) -> bytes:
    """The file of a precision."""
    content: bytes = probe_model(precision).SerializeToString(deterministic=True)
    return content


if __name__ == "__main__":
    for name in ("float32", "float16"):
        (Path(sys.argv[1]) / f"{name}.onnx").write_bytes(probe_bytes(name))

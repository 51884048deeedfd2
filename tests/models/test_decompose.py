"""Attention as standard nodes: it must be the same attention, in every graph we ship and in the cases they lack."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from graph_file import FLOAT, HALF, INT64, Declared, attribute, field, graph_file, node, tensor
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from onnxflow.errors import ModelError
from onnxflow.models.decompose import without_fused_attention
from onnxflow.models.reference import Reference, read_reference
from onnxflow.models.store import embedded_folder

TINY = embedded_folder()
COMPONENTS = ("unet", "text_encoder", "vae_decoder", "vae_encoder")
GRAPHS = [f"{name}/model.onnx" for name in COMPONENTS] + ["unet/model.int8.onnx", "text_encoder/model.int8.onnx"]
FUSED = field(4, b"MultiHeadAttention")  # as an operator, not in a name
Arrays = dict[str, NDArray[Any]]
QKV = ("query", "key", "value")


def session(graph: bytes, folder: Path | None = None) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if folder is not None:
        options.add_session_config_entry("session.model_external_initializers_file_folder_path", str(folder))
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def answers(graph: bytes, feeds: Arrays, folder: Path | None = None) -> Arrays:
    made = session(graph, folder)
    return dict(zip([output.name for output in made.get_outputs()], made.run(None, feeds), strict=True))


def written(folder: Path, data: bytes) -> Path:
    (folder / "unet").mkdir(exist_ok=True)
    (folder / "unet" / "model.onnx").write_bytes(data)
    return folder / "unet" / "model.onnx"


def attention(*inputs: str, name: str = "a", output: str = "out", **attributes: Any) -> bytes:
    attributes = {"num_heads": 2} | attributes
    return node("MultiHeadAttention", inputs or QKV, [output], "com.microsoft", name, **attributes)


def attention_graph(kind: int = FLOAT, nodes: list[bytes] | None = None, opset: int = 17, **attributes: Any) -> bytes:
    declared: Declared = (kind, ("b", "t", None))
    inputs = dict.fromkeys(QKV, declared) | {"query": (kind, ("b", "s", None))}
    return graph_file(inputs, {"out": declared}, nodes=nodes or [attention(**attributes)], opset=opset)


WHOLE = attention_graph(unidirectional=1, scale=0.5)


def expected(feeds: Arrays, heads: int, causal: bool = False, scale: float = 0.0) -> NDArray[np.float64]:
    """The formula in double precision."""

    def split(part: NDArray[Any]) -> NDArray[np.float64]:
        wide: NDArray[np.float64] = part.astype(np.float64)
        return wide.reshape(*part.shape[:2], heads, -1).swapaxes(1, 2)

    query, key, value = (split(feeds[name]) for name in QKV)
    scores = query @ key.swapaxes(2, 3) * (scale or query.shape[-1] ** -0.5)
    if causal:
        scores += np.triu(np.full(scores.shape[2:], -np.inf), 1)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (weights / weights.sum(-1, keepdims=True)) @ value
    return mixed.swapaxes(1, 2).reshape(*feeds["query"].shape[:2], -1)


def feeds(kind: Any = np.float32, tokens: tuple[int, int] = (5, 7), width: int = 12, spread: float = 1.0) -> Arrays:
    rng = np.random.default_rng(5)
    sizes = dict(zip(QKV, (tokens[0], tokens[1], tokens[1]), strict=True))
    return {name: (spread * rng.standard_normal((3, size, width))).astype(kind) for name, size in sizes.items()}


def other_inputs(inputs: Any) -> Arrays:
    """The same kinds of inputs for a batch of three, of other sizes where a size is free."""
    free = {"batch": 3, "height": 24, "width": 40, "tokens": 11, "image_height": 64, "image_width": 48}
    rng = np.random.default_rng(7)
    found: Arrays = {}
    for declared in inputs:
        shape = [size if isinstance(size, int) else free.get(size, 1) for size in declared.shape]
        found[declared.name] = rng.standard_normal(shape).astype(np.float32)
        if declared.type == "tensor(int64)":
            found[declared.name] = np.full(shape, 6, np.int64)
    return found


@pytest.mark.parametrize("name", GRAPHS)
def test_embedded_graphs_answer_as_before(name: str) -> None:
    before, after = (TINY / name).read_bytes(), without_fused_attention(TINY / name)
    assert FUSED in before and FUSED not in after
    reference = read_reference(TINY / "reference" / f"{name.split('/')[0]}.safetensors")
    # An activation in int8 may fall on the other side of a step for a difference in the last bit.
    # Moving the inputs by their last bit moves the unet's output by 0.009, and int8 itself by 0.07.
    tolerance = 0.02 if "int8" in name else 1e-5
    for asked in (dict(reference.inputs), other_inputs(session(before).get_inputs())):
        outputs = answers(after, asked)
        assert Reference(asked, answers(before, asked)).error(outputs) < tolerance
        assert all(np.isfinite(value).all() for value in outputs.values())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("scale", [0.0, 0.7])
@pytest.mark.parametrize("tokens", [(5, 5), (5, 7), (1, 1)])
def test_attention_is_that_of_the_formula(tmp_path: Path, causal: bool, scale: float, tokens: tuple[int, int]) -> None:
    path = written(tmp_path, attention_graph(unidirectional=int(causal), scale=scale))
    asked = feeds(tokens=tokens)
    out = answers(without_fused_attention(path), asked)["out"]
    np.testing.assert_allclose(out, expected(asked, 2, causal, scale), atol=1e-6)
    if not causal or tokens[0] == tokens[1]:  # no network of ours looks at other tokens and has an order among them
        np.testing.assert_allclose(out, answers(path.read_bytes(), asked)["out"], atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_half_precision(tmp_path: Path, causal: bool) -> None:
    path = written(tmp_path, attention_graph(HALF, unidirectional=int(causal)))
    asked = feeds(np.float16, (77, 77), 80)
    out = answers(without_fused_attention(path), asked)["out"]
    assert out.dtype == np.float16
    np.testing.assert_allclose(out, expected(asked, 2, causal), atol=4e-3)


def test_scores_that_overflow_only_before_scaling_stay_finite_in_half_precision(tmp_path: Path) -> None:
    asked = feeds(np.float16, (3, 3), 1024)
    asked["query"][:] = 16
    asked["key"][:] = 16  # 16 * 16 * 512 = 131,072, and 65,504 is the largest; by sqrt(512) it is 5,793
    graph = attention_graph(HALF, nodes=[attention(), node("Identity", ["out/split0/scores"], ["scores"])])
    after = without_fused_attention(written(tmp_path, graph))
    mark = b"out/split1/scores"
    assert mark in after, "a name that is taken is left alone"
    out = answers(without_fused_attention(written(tmp_path, attention_graph(HALF))), asked)["out"]
    np.testing.assert_allclose(out, expected(asked, 2), atol=4e-3)


CASTS = [
    [node("Cast", ["query"], ["q"], to=FLOAT), node("Mul", ["q", "q"], ["qq"])],
    [node("Constant", [], ["q"], value=tensor("", FLOAT, (1, 1, 12), bytes(48))), node("Sqrt", ["q"], ["qq"])],
    [node("Constant", [], ["one"], value_float=1.0), node("CastLike", ["query", "one"], ["qq"])],
    [node("Constant", [], ["no"], value=tensor("", 9, (), b"\0")), node("Where", ["no", "query", "query"], ["qq"])],
]


@pytest.mark.parametrize("before", CASTS)
def test_the_type_is_found_behind_other_nodes(tmp_path: Path, before: list[bytes]) -> None:
    graph = attention_graph(nodes=[*before, attention("qq", "qq", "qq")])
    out = answers(graph, feeds())["out"]
    np.testing.assert_allclose(
        answers(without_fused_attention(written(tmp_path, graph)), feeds())["out"], out, atol=1e-6
    )


def test_a_type_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    graph = attention_graph(nodes=[attention("x", "y", "z", output="w"), node("Identity", ["w"], ["out"])])
    with pytest.raises(ModelError, match="the type of the attention a is not to be seen"):
        without_fused_attention(written(tmp_path, graph))
    circle = attention_graph(nodes=[node("Relu", ["x"], ["x"]), attention("x", "x", "x", output="w")])
    with pytest.raises(ModelError, match="the type of the attention a is not to be seen"):
        without_fused_attention(written(tmp_path, circle))


def test_attentions_after_each_other_of_different_heads(tmp_path: Path) -> None:
    nodes = [
        attention("query", "key", "value", name="b", output="mid", num_heads=3, scale=0.25),
        attention("mid", "key", "value", name="", output="late", num_heads=4, scale=0.125),
        attention("late", "key", "value", name="late", num_heads=2),
    ]
    graph = attention_graph(nodes=nodes)
    out = answers(without_fused_attention(written(tmp_path, graph)), feeds())["out"]
    np.testing.assert_allclose(out, answers(graph, feeds())["out"], atol=1e-6)


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        ([attention(*QKV, "b")], "more than query, key and value: bias"),
        ([attention(*QKV, "", "m")], "more than query, key and value: key_padding_mask"),
        ([attention(*QKV, "", "", "m", "p", "p")], "attention_bias, past_key, past_value"),
        ([attention(*QKV, *[""] * 8, "x")], "input 11"),
        ([attention(do_rotary=1)], "attribute do_rotary"),
        ([node("MultiHeadAttention", QKV, ["out", "k"], "com.microsoft", "a", num_heads=2)], "output 1"),
        ([attention("query")], "the attention a lacks its query, key or value"),
    ],
)
def test_an_attention_that_is_not_ours_is_named(tmp_path: Path, nodes: list[bytes], words: str) -> None:
    path = written(tmp_path, attention_graph(nodes=nodes))
    with pytest.raises(ModelError) as caught:
        without_fused_attention(path)
    assert words in caught.value.message and "the attention a " in caught.value.message
    assert caught.value.where == str(path) and caught.value.hint


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "it holds 0 graphs"),
        (WHOLE[:-60], "a field is damaged or cut off"),
        (attention_graph(num_heads=0), "an attention has 0 heads"),
        (attention_graph(num_heads=2**40), "heads"),
        (attention_graph(scale=float("nan")), "an attention has the scale nan"),
        (attention_graph(nodes=[node("MultiHeadAttention", QKV, [], "com.microsoft")]), "an attention has no output"),
        (attention_graph(opset=13), "the graph is of opset 13"),
    ],
)
def test_what_cannot_be_rewritten_is_said(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ModelError) as caught:
        without_fused_attention(written(tmp_path, data))
    assert words in caught.value.message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot read nothing/model\.onnx: No such file"):
        without_fused_attention(tmp_path / "nothing" / "model.onnx")


def test_a_graph_without_it_stays_as_it_is(tmp_path: Path) -> None:
    other = attention_graph(nodes=[node("MultiHeadAttention", QKV, ["out"], "com.example", num_heads=2)])
    for data in (graph_file({"x": (FLOAT, (1,))}, {}), other, without_fused_attention(TINY / "unet" / "model.onnx")):
        assert without_fused_attention(written(tmp_path, data)) == data


def test_one_inside_another_nodes_graph_stays(tmp_path: Path) -> None:
    body = field(1, attention()) + field(2, b"body")
    branch = field(1, b"then_branch") + field(6, body) + field(20, 5)
    data = attention_graph(nodes=[node("If", ["query"], ["out"]) + field(5, branch)])
    assert without_fused_attention(written(tmp_path, data)) == data


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4), st.integers(0, len(WHOLE)))
def test_any_bytes_are_rewritten_or_refused(changes: list[tuple[int, int]], end: int) -> None:
    data = bytearray(WHOLE)
    for place, byte in changes:
        data[place] = byte
    with tempfile.TemporaryDirectory() as folder:
        try:
            without_fused_attention(written(Path(folder), bytes(data[:end]) if len(changes) < 2 else bytes(data)))
        except ModelError as error:
            assert folder in error.render()


def test_weights_in_a_file_of_their_own_are_found(tmp_path: Path) -> None:
    weight = np.random.default_rng(3).standard_normal((12, 12)).astype(np.float32)
    nodes = [node("MatMul", ["query", "w"], ["q"]), attention("q", "key", "value")]
    declared: Declared = (FLOAT, ("b", "s", 12))
    graph = graph_file(
        dict.fromkeys(QKV, declared),
        {"out": declared},
        nodes=nodes,
        tensors=[tensor("w", FLOAT, (12, 12), "model.onnx.data")],
    )
    path = written(tmp_path, graph)
    path.with_name("model.onnx.data").write_bytes(weight.tobytes())
    asked = feeds(tokens=(5, 5))
    out = answers(without_fused_attention(path), asked, path.parent)["out"]
    np.testing.assert_allclose(out, expected(asked | {"query": asked["query"] @ weight}, 2), atol=1e-5)


def test_weights_are_copied_once(tmp_path: Path) -> None:
    size = 32 * 1024 * 1024
    big = tensor("w", FLOAT, (size // 4,), bytes(size))
    declared: Declared = (FLOAT, ("b", "s", 12))
    path = written(
        tmp_path, graph_file(dict.fromkeys(QKV, declared), {"out": declared}, nodes=[attention()], tensors=[big])
    )
    tracemalloc.start()
    try:
        after = without_fused_attention(path)
        assert tracemalloc.get_traced_memory()[1] < 2.1 * size
    finally:
        tracemalloc.stop()
    assert big in after


def test_the_writer_of_the_tests_knows_every_kind() -> None:
    assert attribute("n", "text").endswith(field(4, b"text") + field(20, 3))
    assert INT64 == 7

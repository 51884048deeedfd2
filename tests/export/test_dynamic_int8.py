# ruff: noqa: E402
from pathlib import Path

import numpy as np
import pytest
from exact_session import exact_session, shares_weights

torch = pytest.importorskip("torch")

import onnx
from diffusers import UNet2DConditionModel
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn

from onnxflow.export import components, dynamic_int8
from onnxflow.export.components import Component
from onnxflow.export.dynamic_int8 import quantize, write_quantized
from onnxflow.export.trace import write_graph


class Small(nn.Module):
    """A picture to tokens and back, and a time that is added: every kind of weight that a denoiser has."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(4, 32, 3, padding=1)
        self.conv = nn.Conv2d(32, 64, 3, padding=1)
        self.norm = nn.LayerNorm(64)
        self.wide = nn.Linear(64, 256)
        self.narrow = nn.Linear(256, 64, bias=False)
        self.time = nn.Linear(32, 64)
        self.conv_out = nn.Conv2d(64, 4, 3, padding=1)

    def forward(self, sample: Tensor, time: Tensor) -> Tensor:
        """Sample [b, 4, h, w] and time [b, 32] to [b, 4, h, w]."""
        x = self.conv(torch.relu(self.conv_in(sample))) + self.time(time)[:, :, None, None]
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.narrow(torch.relu(self.wide(self.norm(tokens))))
        out: Tensor = self.conv_out(tokens.transpose(1, 2).reshape(x.shape))
        return out


def component(module: nn.Module) -> Component:
    generator = torch.Generator().manual_seed(1)
    return Component(
        "small",
        module.eval(),
        {
            "sample": torch.randn(2, 4, 6, 10, generator=generator),
            "time": torch.randn(2, 32, generator=generator),
        },
        {"sample": ("batch", 4, "height", "width"), "time": ("batch", 32)},
        {"out": ("batch", 4, "height", "width")},
    )


@pytest.fixture(scope="module")
def network() -> Small:
    torch.manual_seed(2)
    made = Small()
    made.conv_in.weight.data += 1.2345e-5  # no number of fp16
    made.narrow.weight.data[5] = 0
    made.narrow.weight.data[6] *= 50  # must not cost the others their precision
    made.conv.weight.data[7] = 0
    return made


@pytest.fixture(scope="module")
def exported(network: Small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "model.onnx"
    write_graph(component(network), path, "fp32")
    return path


def quantized(model: ModelProto) -> ModelProto:
    """A graph with its weights inside, quantised."""
    bare = ModelProto()
    bare.CopyFrom(model)
    del bare.graph.initializer[:]
    return quantize(bare, weights(model))


def weights(model: ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def run(model: ModelProto, feeds: dict[str, Tensor]) -> np.ndarray:
    session = exact_session(model.SerializeToString())
    given: np.ndarray = session.run(None, {name: value.numpy() for name, value in feeds.items()})[0]
    return given


def run_file(path: Path, feeds: dict[str, Tensor]) -> np.ndarray:
    session = exact_session(str(path))
    given: np.ndarray = session.run(None, {name: value.numpy() for name, value in feeds.items()})[0]
    return given


def apart(given: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(given - wanted) / np.linalg.norm(wanted))


def test_the_graph_is_valid_and_computes_nearly_the_same(network: Small, exported: Path) -> None:
    model = onnx.load(exported)
    made = quantized(model)
    onnx.checker.check_model(made)
    for values in ("input", "output"):
        assert list(getattr(made.graph, values)) == list(getattr(model.graph, values))
    feeds = component(network).examples
    error = apart(run(made, feeds), run(model, feeds))
    assert 0.0005 < error < 0.05
    larger = {"sample": torch.randn(3, 4, 9, 5), "time": torch.randn(3, 32)}
    assert apart(run(made, larger), run(model, larger)) < 0.05


def test_products_are_int8_and_convolutions_have_int8_weights(exported: Path) -> None:
    made = quantized(onnx.load(exported))
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("DynamicQuantizeMatMul") == 2
    assert "MatMul" not in kinds
    stored = {name: value.dtype.name for name, value in weights(made).items()}
    assert {name: kind for name, kind in stored.items() if kind in ("int8", "uint8")} == {
        "conv.weight.int8": "int8",
        "time.weight.int8": "int8",
        "wide.weight.columns": "int8",
        "narrow.weight.columns": "int8",
    }
    assert {stored[name] for name in ("conv_in.weight.fp16", "conv_out.weight.fp16", "norm.weight.fp16")} == {"float16"}
    assert not {name for name, kind in stored.items() if kind == "float32" and not name.endswith(".scale")}


def test_products_add_their_biases_themselves(exported: Path) -> None:
    made = quantized(onnx.load(exported))
    wide, narrow = (node for node in made.graph.node if node.op_type == "DynamicQuantizeMatMul")
    assert list(wide.input[1:]) == ["wide.weight.columns", "wide.weight.columns.scale", "", "wide.bias"]
    assert list(narrow.input[1:]) == ["narrow.weight.columns", "narrow.weight.columns.scale"]  # it has none
    assert not [node for node in made.graph.node if node.op_type == "Add" and "wide.bias" in node.input]


def test_every_weight_is_within_half_a_step_of_its_output_channel(network: Small, exported: Path) -> None:
    stored = weights(quantized(onnx.load(exported)))
    for name, layer in (("wide", network.wide), ("narrow", network.narrow)):
        scale = stored[f"{name}.weight.columns.scale"]
        again = stored[f"{name}.weight.columns"].astype(np.float32) * scale
        wanted = layer.weight.detach().numpy().T
        assert (np.abs(again - wanted) <= scale * 0.5001).all()
        largest = np.abs(wanted).max(0)
        np.testing.assert_allclose(scale, np.where(largest > 0, largest / 127, 1), rtol=1e-6)
    scale = stored["conv.weight.int8.scale"]
    assert scale.shape == (64, 1, 1, 1)
    wanted = network.conv.weight.detach().numpy()
    assert (np.abs(stored["conv.weight.int8"] * scale - wanted) <= scale * 0.5001).all()


def test_zeros_stay_zeros(exported: Path) -> None:
    stored = weights(quantized(onnx.load(exported)))
    assert (stored["narrow.weight.columns"][:, 5] == 0).all()
    assert (stored["narrow.weight.columns"][:, 4] != 0).any()
    assert (stored["conv.weight.int8"][7] == 0).all()
    assert all(np.isfinite(value).all() for value in stored.values())


def test_the_file_is_small_and_the_same_every_time(network: Small, exported: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    for path in (first, second):
        assert write_quantized(component(network), path) == [path]
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 0.4 * exported.stat().st_size
    onnx.checker.check_model(str(first))
    files = write_quantized(component(network), tmp_path / "large.onnx", inline_limit=100)
    assert files == [tmp_path / "large.onnx", tmp_path / "large.bin"]
    feeds = component(network).examples
    np.testing.assert_array_equal(run_file(files[0], feeds), run_file(first, feeds))


def test_the_graph_it_is_made_of_stays_as_it_was(exported: Path) -> None:
    model = onnx.load(exported)
    before = model.SerializeToString(deterministic=True)
    quantized(model)
    assert model.SerializeToString(deterministic=True) == before


def test_a_small_weight_that_half_precision_cannot_hold_stays_fp32() -> None:
    weight = numpy_helper.from_array(np.full((8, 4, 3, 3), 1e6, np.float32), "weight")
    node = onnx.helper.make_node("Conv", ["x", "weight"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = onnx.helper.make_graph([node], "large", values[:1], values[1:], [weight])
    kept = weights(quantized(onnx.helper.make_model(graph)))
    assert list(kept) == ["weight"]
    np.testing.assert_array_equal(kept["weight"], np.float32(1e6))


def test_weights_that_are_small_stay_out_of_int8() -> None:
    weight = numpy_helper.from_array(np.ones((8, 4, 3, 3), np.float32), "weight")
    node = onnx.helper.make_node("Conv", ["x", "weight"], ["y"])
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
    graph = onnx.helper.make_graph([node], "small", values[:1], values[1:], [weight])
    assert list(weights(quantized(onnx.helper.make_model(graph)))) == ["weight.fp16"]


@shares_weights
def test_a_weight_that_two_products_share_is_stored_once(tmp_path: Path) -> None:
    torch.manual_seed(3)
    shared = nn.Linear(32, 32, bias=False)
    module = nn.Sequential(shared, nn.ReLU(), shared)
    example = torch.randn(2, 5, 32)
    tied = Component(
        "tied", module.eval(), {"x": example}, {"x": ("batch", "tokens", 32)}, {"y": ("batch", "tokens", 32)}
    )
    path = tmp_path / "model.onnx"
    write_graph(tied, path, "fp32")
    made = quantized(onnx.load(path))
    assert sorted(weights(made)) == ["0.weight.columns", "0.weight.columns.scale"]
    assert apart(run(made, {"x": example}), module(example).detach().numpy()) < 0.05


def test_a_denoiser_of_random_weights_computes_nearly_the_same(random_model: Path, tmp_path: Path) -> None:
    network = UNet2DConditionModel.from_pretrained(str(random_model / "unet")).float().eval()
    unet = components.unet(network)
    write_graph(unet, tmp_path / "model.onnx", "fp32")
    model = onnx.load(tmp_path / "model.onnx")
    made = quantized(model)
    onnx.checker.check_model(made)
    assert apart(run(made, unet.examples), run(model, unet.examples)) < 0.05


def test_a_weight_that_a_gemm_and_a_product_share_is_stored_in_both_ways() -> None:
    rng = np.random.default_rng(1)
    weight = numpy_helper.from_array(rng.standard_normal((32, 32)).astype(np.float32), "weight")
    nodes = [
        onnx.helper.make_node("Transpose", ["weight"], ["turned"], perm=[1, 0]),
        onnx.helper.make_node("MatMul", ["x", "turned"], ["middle"]),
        onnx.helper.make_node("Gemm", ["middle", "weight"], ["y"], transB=1),
    ]
    made = quantized(one_graph(nodes, weight, ["y"]))
    onnx.checker.check_model(made, full_check=True)
    x = torch.from_numpy(rng.standard_normal((4, 32)).astype(np.float32))
    matrix = numpy_helper.to_array(weight)
    assert apart(run(made, {"x": x}), x.numpy() @ matrix.T @ matrix.T) < 0.05


def test_what_is_an_output_of_the_graph_stays() -> None:
    weight = numpy_helper.from_array(np.ones((32, 32), np.float32), "weight")
    nodes = [
        onnx.helper.make_node("Transpose", ["weight"], ["turned"], perm=[1, 0]),
        onnx.helper.make_node("MatMul", ["x", "turned"], ["y"]),
    ]
    made = quantized(one_graph(nodes, weight, ["y", "turned"]))
    onnx.checker.check_model(made, full_check=True)
    assert [node.op_type for node in made.graph.node] == ["Cast", "Transpose", "DynamicQuantizeMatMul"]


def one_graph(nodes: list[onnx.NodeProto], weight: onnx.TensorProto, outputs: list[str]) -> ModelProto:
    def value(name: str) -> onnx.ValueInfoProto:
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [None, 32])

    graph = onnx.helper.make_graph(nodes, "one", [value("x")], [value(name) for name in outputs], [weight])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def test_what_else_is_in_the_batch_changes_a_sample_by_little(network: Small, exported: Path) -> None:
    made = quantized(onnx.load(exported))
    feeds = component(network).examples
    alone = {name: value[:1] for name, value in feeds.items()}
    together = {name: value.repeat(2, *[1] * (value.ndim - 1)) for name, value in feeds.items()}
    assert apart(run(made, together)[:1], run(made, alone)) < 0.02


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(3, 1, 1), (3, 2, 1), (1, 1, 0), (1, 2, 0), (3, 1, 0), (2, 2, 0), ((3, 1), 1, (1, 0)), (3, 2, (0, 1))],
)
@pytest.mark.parametrize("bias", [True, False])
def test_a_large_convolution_is_a_product_of_its_patches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: int, stride: int, padding: int, bias: bool
) -> None:
    for limit in ("SMALLEST_CONVOLUTION", "SMALLEST_POINTWISE"):
        monkeypatch.setattr(dynamic_int8, limit, 0)
    torch.manual_seed(4)
    convolution = nn.Conv2d(24, 40, kernel, stride, padding, bias=bias)
    example = torch.randn(2, 24, 9, 12) + 0.3
    dims = ("batch", 24, "height", "width")
    plain = Component("plain", convolution.eval(), {"x": example}, {"x": dims}, {"y": ("batch", 40, "h", "w")})
    write_graph(plain, tmp_path / "model.onnx", "fp32")
    made = quantized(onnx.load(tmp_path / "model.onnx"))
    onnx.checker.check_model(made)
    kinds = [node.op_type for node in made.graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 1
    assert "Conv" not in kinds
    for x in (example, torch.randn(1, 24, 8, 7), torch.randn(3, 24, 5, 5)):
        wanted = convolution(x).detach().numpy()
        given = run(made, {"x": x})
        assert given.shape == wanted.shape
        assert 1e-4 < apart(given, wanted) < 0.03


def test_unusual_and_small_convolutions_are_computed_in_fp32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for changes, least in (({"groups": 2}, 0), ({"dilation": 2}, 0), ({}, 10**6)):
        monkeypatch.setattr(dynamic_int8, "SMALLEST_CONVOLUTION", least)
        convolution = nn.Conv2d(24, 40, 3, **changes)
        dims = ("batch", 24, "height", "width")
        example = torch.randn(2, 24, 9, 12)
        odd = Component("odd", convolution.eval(), {"x": example}, {"x": dims}, {"y": ("batch", 40, "h", "w")})
        write_graph(odd, tmp_path / "model.onnx", "fp32")
        made = quantized(onnx.load(tmp_path / "model.onnx"))
        assert [node.op_type for node in made.graph.node if node.op_type not in ("Cast", "Mul")] == ["Conv"]
        assert apart(run(made, {"x": example}), convolution(example).detach().numpy()) < 0.02

# ruff: noqa: E402
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from exact_session import exact_session, shares_weights

torch = pytest.importorskip("torch")

import onnx
from onnx import ModelProto
from torch import Tensor, nn

from onnxflow.export.calibration import Calibration, Layer, Range, calibrate
from onnxflow.export.components import Component
from onnxflow.export.static_int8 import write_static
from onnxflow.export.trace import write_graph


class Small(nn.Module):
    """Convolutions with and without bias, products with and without bias that read the same, a time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.conv_in = nn.Conv2d(4, 32, 3, padding=1)
        self.conv = nn.Conv2d(32, 64, 3, stride=2, padding=1)
        self.plain = nn.Conv2d(64, 64, 1, bias=False)
        self.query = nn.Linear(64, 64, bias=False)
        self.value = nn.Linear(64, 64)
        self.time = nn.Linear(32, 64)
        self.conv.bias.data += 3
        self.conv.weight.data[7] = 0  # its step is the bias's

    def forward(self, sample: Tensor, time: Tensor) -> Tensor:
        """Sample [b, 4, h, w] and time [b, 32] to [b, h w / 4, 64]."""
        x = self.plain(torch.relu(self.conv(self.conv_in(sample)))) + self.time(time)[:, :, None, None]
        tokens = x.flatten(2).transpose(1, 2)
        out: Tensor = self.query(tokens) * torch.sigmoid(self.value(tokens))
        return out


@pytest.fixture(scope="module")
def component() -> Component:
    generator = torch.Generator().manual_seed(1)
    return Component(
        "small",
        Small().eval(),
        {"sample": torch.randn(2, 4, 8, 12, generator=generator), "time": torch.randn(2, 32, generator=generator)},
        {"sample": ("batch", 4, "height", "width"), "time": ("batch", 32)},
        {"out": ("batch", "tokens", 64)},
    )


@pytest.fixture(scope="module")
def calibration(component: Component) -> Calibration:
    def run() -> None:
        with torch.no_grad():
            component.module(*component.examples.values())

    return calibrate(component.module, [run], run)


def run(path: Path, feeds: dict[str, Tensor], plain: bool = False) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    if plain:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = exact_session(str(path), options)
    given: np.ndarray = session.run(None, {name: value.numpy() for name, value in feeds.items()})[0]
    return given


def apart(given: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(given - wanted) / np.linalg.norm(wanted))


def optimised(path: Path, target: Path) -> list[str]:
    """The nodes that ONNX Runtime really runs."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    exact_session(str(path), options)
    return [node.op_type for node in onnx.load(target).graph.node]


def test_the_graph_is_valid_and_computes_nearly_the_same(
    component: Component, calibration: Calibration, tmp_path: Path
) -> None:
    exact, path = tmp_path / "exact.onnx", tmp_path / "model.onnx"
    write_graph(component, exact, "fp32")
    assert write_static(component, calibration, path) == [path]
    onnx.checker.check_model(str(path), full_check=True)
    wanted = run(exact, component.examples)
    assert 0.0005 < apart(run(path, component.examples), wanted) < 0.04
    assert apart(run(path, component.examples), run(path, component.examples, plain=True)) < 0.02
    other = {"sample": torch.randn(1, 4, 6, 6), "time": torch.randn(1, 32)}
    assert apart(run(path, other), run(exact, other)) < 0.08


def test_products_and_convolutions_run_in_int8(component: Component, calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_static(component, calibration, path)
    kinds = optimised(path, tmp_path / "optimised.onnx")
    assert kinds.count("QLinearConv") == 2
    assert kinds.count("MatMulIntegerToFloat") == 2
    assert "MatMul" not in kinds
    assert sum(kind in ("Conv", "FusedConv") for kind in kinds) == 1  # conv_in


def test_what_two_layers_read_is_rounded_once(component: Component, calibration: Calibration, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_static(component, calibration, path)
    kinds = [node.op_type for node in onnx.load(path).graph.node]
    assert kinds.count("QuantizeLinear") == 2 + 2 + 1  # in and out of two convolutions, in of two products


def test_sensitive_layers_stay_as_they_are(component: Component, calibration: Calibration, tmp_path: Path) -> None:
    layers = dict(calibration.layers)
    for name in ("conv.weight", "query.weight"):
        layers[name] = Layer(layers[name].input, layers[name].output, 1.0)
    path = tmp_path / "model.onnx"
    write_static(component, Calibration(layers), path)
    kinds = optimised(path, tmp_path / "optimised.onnx")
    assert (kinds.count("QLinearConv"), kinds.count("MatMulIntegerToFloat")) == (1, 1)
    assert sum(kind in ("Conv", "FusedConv") for kind in kinds) == 2
    assert sum(kind in ("MatMul", "FusedMatMul") for kind in kinds) == 1
    stored = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert stored["conv.weight.fp16"] == stored["query.weight.fp16"] == onnx.TensorProto.FLOAT16
    assert stored["plain.weight.rows"] == stored["value.weight.columns"] == onnx.TensorProto.INT8


def test_a_bias_fits_into_int32(component: Component, calibration: Calibration, tmp_path: Path) -> None:
    """Of a channel of zeros, whose step would otherwise be tiny or one."""
    path = tmp_path / "model.onnx"
    tiny = {name: Layer(Range(-1e-5, 1e-5), layer.output, 0.0) for name, layer in calibration.layers.items()}
    write_static(component, Calibration(tiny), path)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}
    (name,) = (name for name, value in stored.items() if value.dtype == np.int32 and name.endswith(".bias"))
    again = stored[name] * stored[f"{name}.scale"].astype(np.float64)
    np.testing.assert_allclose(again, component.module.conv.bias.detach().numpy(), rtol=1e-3, atol=1e-6)


def test_the_file_is_the_same_every_time_and_may_lie_beside(
    component: Component, calibration: Calibration, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.onnx", tmp_path / "second.onnx"
    for path in (first, second):
        write_static(component, calibration, path)
    assert first.read_bytes() == second.read_bytes()
    files = write_static(component, calibration, tmp_path / "large.onnx", inline_limit=100)
    assert files == [tmp_path / "large.onnx", tmp_path / "large.bin"]
    np.testing.assert_array_equal(run(files[0], component.examples), run(first, component.examples))


@shares_weights
def test_a_weight_that_two_layers_share_is_stored_once(tmp_path: Path) -> None:
    shared = nn.Linear(32, 32, bias=False)
    module = nn.Sequential(shared, nn.ReLU(), shared)
    x = torch.randn(2, 5, 32)
    dims = ("batch", "tokens", 32)
    tied = Component("tied", module.eval(), {"x": x}, {"x": dims}, {"y": dims})
    found = calibrate(module, [lambda: module(x)], lambda: module(x))
    path = tmp_path / "model.onnx"
    write_static(tied, found, path)
    model: ModelProto = onnx.load(path)
    onnx.checker.check_model(model)
    assert [tensor.name for tensor in model.graph.initializer].count("0.weight.columns") == 1
    assert apart(run(path, {"x": x}), module(x).detach().numpy()) < 0.05

# ruff: noqa: E402
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn

from onnxflow.errors import ModelError, UsageError
from onnxflow.export.calibration import (
    FRACTIONS,
    MOST_CALLS,
    SAMPLES,
    Calibration,
    Layer,
    Range,
    _errors,
    _Seen,
    calibrate,
    check_prompts,
    read_calibration,
    read_prompts,
)


def test_a_range_holds_zero_exactly() -> None:
    for low, high in ((-1.0, 3.0), (0.0, 5.0), (-7.0, 0.0), (-1e-3, 250.0)):
        given = Range(low, high)
        assert 0 <= given.zero <= 255
        assert float(_errors(np.zeros(1, np.float32), given)[0]) == 0.0
        assert abs(given.scale * (0 - given.zero) - low) <= given.scale
        assert abs(given.scale * (255 - given.zero) - high) <= given.scale
    assert Range(0.0, 0.0).scale > 0


class Two(nn.Module):
    """Two layers, the second of which has an output channel that hides all others."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.first = nn.Linear(32, 32)
        self.second = nn.Conv2d(32, 32, 3, padding=1)
        self.never = nn.Linear(32, 32)
        self.second.weight.data[0] *= 2000

    def forward(self, x: Tensor) -> Tensor:
        """[b, 36, 32] to [b, 32, 6, 6]."""
        found: Tensor = self.second(self.first(x).transpose(1, 2).reshape(-1, 32, 6, 6))
        return found


@pytest.fixture(scope="module")
def seen() -> tuple[Two, Calibration, Tensor]:
    network = Two()
    x = torch.randn(4, 36, 32, generator=torch.Generator().manual_seed(2))

    def run() -> None:
        with torch.no_grad():
            network(x)

    return network, calibrate(network, [run, run], run), x


def test_ranges_hold_what_was_seen(seen: tuple[Two, Calibration, Tensor]) -> None:
    network, calibration, x = seen
    first = calibration.layers["first.weight"]
    smallest, largest = float(x.min()), float(x.max())
    assert smallest * 1.001 <= first.input.low <= smallest * min(FRACTIONS)
    assert largest * min(FRACTIONS) <= first.input.high <= largest * 1.001
    outputs = network.first(x)
    inside = (outputs > first.output.low) & (outputs < first.output.high)
    assert float(inside.float().mean()) > 0.99


def test_a_layer_that_never_ran_has_no_range(seen: tuple[Two, Calibration, Tensor]) -> None:
    assert set(seen[1].layers) == {"first.weight", "second.weight"}


def test_a_layer_that_reads_a_vector_is_not_computed_in_int8() -> None:
    layer = nn.Linear(32, 32)
    x = torch.randn(2, 32)
    assert calibrate(layer_in(layer), [lambda: layer(x)], lambda: layer(x)).layers == {}


def test_one_value_in_a_million_does_not_cost_the_others_their_precision() -> None:
    layer = nn.Linear(1000, 16)
    x = torch.randn(1, 1000, 1000, generator=torch.Generator().manual_seed(3))
    x[0, 1, 1] = 30.0
    found = calibrate(layer_in(layer), [lambda: layer(x)], lambda: layer(x)).layers["layer.weight"]
    assert 4.0 < found.input.high < 20.0
    x[:, :, 5] = 30.0  # what is always there must stay
    found = calibrate(layer_in(layer), [lambda: layer(x)], lambda: layer(x)).layers["layer.weight"]
    assert found.input.high == pytest.approx(30.0)


def layer_in(layer: nn.Module) -> nn.Module:
    network = nn.Module()
    network.layer = layer
    return network


def test_an_output_whose_channels_differ_too_much_makes_a_layer_sensitive(
    seen: tuple[Two, Calibration, Tensor],
) -> None:
    layers = seen[1].layers
    assert 0.001 < layers["first.weight"].error < 0.02
    assert not layers["first.weight"].sensitive
    assert layers["second.weight"].sensitive
    quiet = Layer(Range(-1, 1), Range(-1, 1), float("nan"))
    assert quiet.sensitive


def test_hooks_are_removed(seen: tuple[Two, Calibration, Tensor]) -> None:
    assert not any(module._forward_hooks for module in seen[0].modules())


def test_it_is_read_as_it_was_written(seen: tuple[Two, Calibration, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(seen[1].encode(steps=3), encoding="utf-8")
    assert read_calibration(path) == seen[1]
    assert json.loads(path.read_text())["steps"] == 3


def test_prompts_are_the_lines_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("a red circle\n\n  ein Kätzchen \n", encoding="utf-8")
    assert read_prompts(path) == ("a red circle", "ein Kätzchen")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe"])
def test_a_file_without_prompts_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError):
        read_prompts(path)
    with pytest.raises(UsageError, match="No such file"):
        read_prompts(tmp_path / "none.txt")


@pytest.mark.parametrize("prompt", ["a (cat:1e999)", "embedding:foo"])
def test_a_prompt_that_cannot_be_read_is_refused(prompt: str) -> None:
    check_prompts(["a (red:1.2) cat"])
    with pytest.raises(UsageError, match="cannot be used"):
        check_prompts([prompt])


def test_values_that_overflow_are_a_clear_error() -> None:
    layer = nn.Linear(32, 32)
    x = torch.full((1, 4, 32), float("inf"))
    with pytest.raises(ModelError, match="overflow"):
        calibrate(layer_in(layer), [lambda: layer(x)], lambda: layer(x))


def test_many_pictures_take_no_more_memory_than_a_few() -> None:
    seen = _Seen()
    for value in range(1000):
        seen.add(torch.full((5000,), float(value)))
    assert seen._block.numel() == MOST_CALLS * SAMPLES
    assert seen.range().high == pytest.approx(999, rel=0.06)

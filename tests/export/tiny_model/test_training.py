# ruff: noqa: E402
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn

from onnxflow.export.tiny_model.training import Stage, cosine, flat_then_falling, linear, step_randomness, train


def stage(folder: Path, recipe: str = "one", ema: float | None = 0.9) -> Stage:
    torch.manual_seed(3)
    network = nn.Linear(4, 4)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.05)
    return Stage("test", folder / "test.pt", recipe, network, optimiser, cosine(30, 5), 30, ema)


def run(of: Stage, stop_at: int | None = None) -> tuple[nn.Module, list[str]]:
    lines: list[str] = []

    def loss(step: int) -> torch.Tensor:
        step_randomness(9, step)
        return (of.network(torch.randn(8, 4)) ** 2).mean()

    return train(of, loss, lines.append, every=1e9, stop_at=stop_at), lines


@pytest.mark.parametrize("ema", [None, 0.9])
def test_a_stopped_training_goes_on_to_the_very_same_weights(tmp_path: Path, ema: float | None) -> None:
    (tmp_path / "whole").mkdir()
    whole, _ = run(stage(tmp_path / "whole", ema=ema))
    run(stage(tmp_path, ema=ema), stop_at=11)
    resumed, lines = run(stage(tmp_path, ema=ema))
    assert lines[0] == "test: goes on at step 11/30"
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name])


def test_a_finished_training_does_nothing(tmp_path: Path) -> None:
    first, _ = run(stage(tmp_path))
    before = (tmp_path / "test.pt").stat().st_mtime_ns
    second, lines = run(stage(tmp_path))
    assert lines == ["test: already done"]
    assert (tmp_path / "test.pt").stat().st_mtime_ns == before
    assert torch.equal(first.weight, second.weight)


def test_a_kill_while_saving_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(stage(tmp_path), stop_at=11)

    def killed(state: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        run(stage(tmp_path), stop_at=20)
    monkeypatch.undo()
    _, lines = run(stage(tmp_path))
    assert lines[0] == "test: goes on at step 11/30"


def test_another_recipe_does_not_take_over_a_checkpoint(tmp_path: Path) -> None:
    run(stage(tmp_path), stop_at=2)
    with pytest.raises(ValueError, match="another recipe"):
        run(stage(tmp_path, recipe="two"))


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    of = stage(tmp_path)
    with pytest.raises(FloatingPointError, match="step 0 is nan"):
        train(of, lambda step: of.network(torch.full((1, 4), torch.nan)).sum(), lambda line: None, 1e9)


@pytest.mark.parametrize("rate", [cosine(100, 10), linear(100, 10)])
def test_the_rate_warms_up_and_ends_near_zero(rate) -> None:
    assert rate(0) == pytest.approx(0.1)
    assert rate(9) > 0.9
    assert rate(99) < 0.02
    assert all(0 <= rate(step) <= 1 for step in range(100))


def test_a_flat_rate_falls_over_its_last_share_only() -> None:
    rate = flat_then_falling(100, warmup=4, falling=0.25)
    assert [rate(step) for step in (0, 1, 3, 4, 50, 75)] == [0.25, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert [rate(step) for step in (80, 95, 99)] == pytest.approx([0.8, 0.2, 0.04])


def test_a_warm_up_longer_than_the_flat_part_still_falls_to_the_end() -> None:
    rate = flat_then_falling(10, warmup=20, falling=0.5)
    assert [rate(step) for step in (0, 5, 8, 9)] == pytest.approx([0.05, 0.3, 0.4, 0.2])

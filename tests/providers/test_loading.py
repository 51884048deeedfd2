"""How a network is loaded, by memory and calls; and what that tells ONNX Runtime."""

from types import SimpleNamespace
from typing import Any

import pytest

from onnxflow.providers import loading as module
from onnxflow.providers.loading import DEFAULT, FAST, GIGABYTE, LOW, Loading, leave_in_place, loading_of

UNET = (860_000_000, 1_720_000_000)
VAE = (50_000_000, 100_000_000)


@pytest.mark.parametrize(
    ("network", "free", "calls", "int8", "wanted"),
    [
        (UNET, None, 50, False, DEFAULT),
        (UNET, 16, 50, False, FAST),
        (UNET, 16, 13, False, DEFAULT),
        (UNET, 5, 50, False, DEFAULT),
        (UNET, 2.7, 50, False, LOW),
        (VAE, 4, 1, False, FAST),
        (VAE, 2, 1, False, DEFAULT),
        (VAE, 1, 1, False, LOW),
        ((860_000_000, 862_000_000), 4, 5, True, FAST),
        ((860_000_000, 862_000_000), 4, 4, True, DEFAULT),
        ((860_000_000, 862_000_000), 3, 20, True, DEFAULT),
        ((860_000_000, 862_000_000), 1.5, 20, True, LOW),
    ],
)
def test_memory_and_calls_decide(
    network: tuple[int, int], free: float | None, calls: int, int8: bool, wanted: Loading
) -> None:
    bytes_ = int(free * GIGABYTE) if free is not None else None
    assert loading_of(*network, bytes_, calls, int8=int8) == wanted


@pytest.mark.parametrize("loading", [LOW, DEFAULT, FAST])
def test_in_place_nothing_is_folded_packed_or_reused(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[bool] = []
    monkeypatch.setattr(module, "free_at_once", lambda: freed.append(True))
    entries: dict[str, str] = {}
    options: Any = SimpleNamespace(add_session_config_entry=entries.__setitem__)
    leave_in_place(options, loading)
    if loading == FAST:
        assert entries == {} and vars(options).keys() == {"add_session_config_entry"}
        return
    assert entries == {
        "session.disable_prepacking": "1",
        "optimization.disable_specified_optimizers": "ConstantFolding",
    }
    assert options.enable_mem_reuse is False and options.enable_mem_pattern is False
    assert getattr(options, "enable_cpu_mem_arena", True) is (loading != LOW)
    assert freed == ([True] if loading == LOW else [])

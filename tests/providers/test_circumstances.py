"""What answers are remembered by, besides wheels and drivers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import onnxflow
from onnxflow.providers import circumstances as module
from onnxflow.providers.catalog import provider_named
from onnxflow.providers.circumstances import circumstances, hardware, surroundings
from onnxflow.providers.compiled import compiled_folder
from onnxflow.providers.device import parse_device
from onnxflow.providers.wheels import stamp


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the only card of this machine."""
    monkeypatch.setattr(module, "_CARDS", (f"{tmp_path}/card*/device/",))
    card = tmp_path / "card0" / "device"
    card.mkdir(parents=True)
    (card / "vendor").write_text("0x10de\n")
    (card / "device").write_text("0x2684\n")
    return card


def test_answers_of_another_version_do_not_count() -> None:
    assert circumstances()[0] == onnxflow.__version__


def test_another_card_under_the_same_name_inherits_nothing(cards: Path) -> None:
    cuda, tensorrt = provider_named("cuda"), parse_device("tensorrt")
    before = stamp(cuda), circumstances(), compiled_folder(tensorrt, "id", "unet", "fp16")
    assert hardware()[:2] == ["0x10de", "0x2684"]
    (cards / "device").write_text("0x2204\n")
    after = stamp(cuda), circumstances(), compiled_folder(tensorrt, "id", "unet", "fp16")
    assert all(one != other for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("variable", "chooses"),
    [
        ("CUDA_VISIBLE_DEVICES", True),
        ("HIP_VISIBLE_DEVICES", True),
        ("VK_DRIVER_FILES", True),
        ("OMP_NUM_THREADS", False),
    ],
)
def test_variables_that_choose_a_card(variable: str, chooses: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(variable, raising=False)
    stamped, tried = stamp(provider_named("cuda")), circumstances()
    monkeypatch.setenv(variable, "1")
    assert (stamp(provider_named("cuda")) != stamped) is chooses and circumstances() != tried


def test_an_installed_package_may_have_mended_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.sysconfig, "get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(module.time, "time", lambda: 1000.0)
    before = surroundings()
    assert surroundings() == before
    os.utime(tmp_path, (1, 1))
    assert surroundings() != before

"""Which devices the installed wheels offer, with onnxruntime replaced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from onnxflow.errors import ProviderError
from onnxflow.providers import offer, plugin
from onnxflow.providers.catalog import provider_named
from onnxflow.providers.device import Device
from onnxflow.providers.offer import BUILT_IN, hardware_of, offers


def ep_device(ep: str, kind: str = "GPU", vendor: str = "", number: int = 0, **metadata: str) -> Any:
    hardware = SimpleNamespace(
        type=SimpleNamespace(name=kind), vendor=vendor, vendor_id=0x10DE, device_id=number, metadata=metadata
    )
    return SimpleNamespace(ep_name=ep, device=hardware)


class Fake:
    """ONNX Runtime with providers inside, and devices in its list."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, inside: list[str], devices: list[Any], plugins: list[str]
    ) -> None:
        self.registered: list[str] = []
        self._inside, self._devices = inside, devices
        for module in (offer, plugin):
            monkeypatch.setattr(module, "onnxruntime", lambda: self)
        monkeypatch.setattr(offer, "plugin_of", lambda facts: facts.wheels[-1] if facts.name in plugins else None)
        monkeypatch.setattr(plugin, "register", lambda facts, wheel: self.registered.append(wheel.distribution))

    def get_available_providers(self) -> list[str]:
        return [*self._inside, "AzureExecutionProvider", "CPUExecutionProvider"]

    def get_ep_devices(self) -> list[Any]:
        return self._devices


def test_nothing_but_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, [], [ep_device("CPUExecutionProvider", "CPU")], [])
    assert offers() == []


def test_cuda_has_the_devices_that_its_driver_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, ["CUDAExecutionProvider"], [], [])
    monkeypatch.setattr(offer, "_counted", lambda facts: ["H100", "T4"])
    assert [(str(one.device), one.what) for one in offers()] == [("cuda:0", "H100"), ("cuda:1", "T4")]
    monkeypatch.setattr(offer, "_counted", lambda facts: [])
    assert [(str(one.device), one.what) for one in offers()] == [("cuda:0", "")]


def test_the_list_of_onnx_runtime_counts_where_the_provider_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [ep_device("CUDAExecutionProvider", vendor="NVIDIA", number=0x2684) for _ in range(2)]
    Fake(monkeypatch, ["CUDAExecutionProvider"], devices, [])
    assert [str(one.device) for one in offers()] == ["cuda:0", "cuda:1"]
    assert offers()[0].what == "NVIDIA GPU 0x2684"


def test_a_driver_that_is_not_there_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(offer.ctypes, "CDLL", refuse)
    assert offer._counted(provider_named("cuda")) == []


def test_openvino_offers_what_its_wheel_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, ["OpenVINOExecutionProvider"], [], [])
    monkeypatch.setattr(offer, "_openvino_units", lambda: ["CPU", "GPU.0", "GPU.1"])
    assert [(str(one.device), bool(one.problem)) for one in offers()] == [
        ("openvino:cpu", False), ("openvino:gpu", False), ("openvino:npu", True),
    ]  # fmt: skip
    monkeypatch.setattr(offer, "_openvino_units", lambda: None)
    assert not any(one.problem for one in offers())


def test_a_plug_in_offers_its_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    devices = [
        ep_device("WebGpuExecutionProvider", Description="NVIDIA GeForce"),
        ep_device("WebGpuExecutionProvider", is_virtual="1"),
    ]
    fake = Fake(monkeypatch, [], devices, ["webgpu"])
    (found,) = offers()
    assert (found.device, found.what, found.problem) == (Device("webgpu"), "NVIDIA GeForce", "")
    assert fake.registered and set(fake.registered) == {"onnxruntime-ep-webgpu"}
    assert offers([BUILT_IN]) == [] and offers(["openvino"]) == []


def test_a_plug_in_without_a_device_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, [], [], ["webgpu"])
    (found,) = offers()
    assert found.device == Device("webgpu") and found.cure
    assert found.problem.startswith("onnxruntime-ep-webgpu is installed, and finds no GPU here")


def test_a_plug_in_that_cannot_be_loaded_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    Fake(monkeypatch, ["CUDAExecutionProvider"], [], ["webgpu"])

    def refuse(facts: object, wheel: object) -> None:
        raise ProviderError("onnxruntime-ep-webgpu cannot be loaded: API version", hint="onnxflow doctor")

    monkeypatch.setattr(plugin, "register", refuse)
    cuda, webgpu = offers()
    assert (str(cuda.device), cuda.problem) == ("cuda:0", "")
    assert webgpu.problem == "onnxruntime-ep-webgpu cannot be loaded: API version"


def test_hardware_without_a_name_is_told_by_kind_and_number() -> None:
    assert hardware_of(ep_device("x", "NPU", "Intel", 0x7D1D)) == "Intel NPU 0x7d1d"
    assert hardware_of(ep_device("x")) == "NVIDIA GPU"

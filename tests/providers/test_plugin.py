"""Plug-ins beside onnxruntime: what they offer, and what is wrong when they offer nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fake_onnxruntime import EpDevice, Fail, Runtime
from fake_providers import WAYS, Way, installed, library, opened

from onnxflow.errors import ProviderError
from onnxflow.providers import plugin
from onnxflow.providers.device import parse_device
from onnxflow.providers.plugin import plugin_devices, plugin_of

PLUGGED = [way for way in WAYS if way[1]]
every_plugin = pytest.mark.parametrize("way", PLUGGED, ids=[str(device) for device, _ in PLUGGED])
KIND = {"openvino:cpu": "CPU", "openvino:gpu": "GPU", "openvino:npu": "NPU", "qnn:npu": "NPU", "qnn:gpu": "GPU"}


def refused(way: Way) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        opened(way[0])
    assert caught.value.exit_code == 3
    return caught.value


def with_devices(monkeypatch: pytest.MonkeyPatch, way: Way, *devices: EpDevice) -> Runtime:
    return installed(monkeypatch, way, plugins={library(way[0].facts): devices})


@every_plugin
def test_the_device_is_chosen_by_its_kind(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    device, ep = way[0], way[0].facts.ep
    offered = [EpDevice("OtherProvider", "GPU"), *(EpDevice(ep, kind) for kind in ("CPU", "GPU", "NPU"))]
    runtime = with_devices(monkeypatch, way, *offered)
    opened(device)
    assert runtime.sessions[0].options.devices == [EpDevice(ep, KIND.get(str(device), "GPU"))]
    assert runtime.sessions[0].providers.keys() == {ep}


@every_plugin
def test_a_plug_in_that_offers_no_device(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.setattr(plugin, "mended", lambda facts: "")
    runtime = with_devices(monkeypatch, way)
    error = refused(way)
    wheel, kind = plugin_of(way[0].facts), KIND.get(str(way[0]), "GPU")
    assert wheel is not None
    assert error.message == f"{way[0]}: {wheel.distribution} is installed, and finds no {kind} here"
    if kind == "CPU":  # has no driver
        other = "onnxruntime-openvino knows processors of other makers, in an environment of its own"
        assert error.hint == f"{other}; or name the cpu"
    else:
        assert error.hint == f"install a driver for the {kind} if there is one, or name the cpu"
    assert not runtime.sessions


@every_plugin
def test_a_device_that_only_compiles_is_none(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    kind = KIND.get(str(way[0]), "GPU")
    with_devices(monkeypatch, way, EpDevice(way[0].facts.ep, kind, virtual=True))
    assert refused(way).message.endswith(f"finds no {kind} here")


@every_plugin
def test_devices_of_another_kind_are_named(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    kind = KIND.get(str(way[0]), "GPU")
    others = [other for other in ("CPU", "GPU", "NPU") if other != kind]
    with_devices(monkeypatch, way, *(EpDevice(way[0].facts.ep, other) for other in others))
    assert refused(way).message.endswith(f"finds no {kind} here, only {', '.join(others)}")


def test_a_missing_library_of_the_system_is_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    way = (parse_device("webgpu"), True)
    monkeypatch.setattr(plugin, "mended", lambda facts: facts.libraries[0].install)
    with_devices(monkeypatch, way)
    assert refused(way).hint == "sudo apt-get install libvulkan1"


@every_plugin
def test_a_library_that_does_not_load(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    monkeypatch.setattr(plugin, "mended", lambda facts: "")
    facts, wheel = way[0].facts, next(wheel for wheel in way[0].facts.wheels if wheel.plugin)
    # What ONNX Runtime says of a library without the function, which older plug-ins lack.
    says = f"Failed to find symbol CreateEpFactories in library, error code: {library(facts)}: undefined symbol"
    runtime = installed(monkeypatch, way, bad_plugins={library(facts): Fail(f"[ONNXRuntimeError] : 1 : FAIL : {says}")})
    for _ in range(2):  # it is tried again, and fails again
        error = refused(way)
        assert error.message == f"{wheel.distribution} cannot be loaded: {says}"
        assert error.hint == f"pip install --upgrade {wheel.distribution}; see onnxflow doctor"
    assert not runtime.registered


def test_a_known_reason_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    way = (parse_device("webgpu"), True)
    says = "Failed to load library /x.so with error: libvulkan.so.1: cannot open shared object file"
    installed(monkeypatch, way, bad_plugins={library(way[0].facts): Fail(says)})
    error = refused(way)
    assert error.message == "onnxruntime-ep-webgpu cannot be loaded: the Vulkan loader is not installed"
    assert error.hint == "sudo apt-get install libvulkan1"


@pytest.mark.parametrize("raised", [ImportError("no such file"), AttributeError("no get_library_path")])
def test_a_module_that_does_not_import(monkeypatch: pytest.MonkeyPatch, raised: Exception) -> None:
    way = (parse_device("qnn"), True)
    installed(monkeypatch, way)
    monkeypatch.setattr(sys.modules["onnxruntime_qnn"], "get_library_path", _raises(raised))
    assert refused(way).message == f"onnxruntime-qnn cannot be loaded: {raised}"


def test_a_library_is_registered_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    way = (parse_device("webgpu"), True)
    runtime = installed(monkeypatch, way)
    facts, wheel = way[0].facts, plugin_of(way[0].facts)
    assert wheel is not None
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: plugin_devices(facts, wheel), range(8)))
    opened(way[0])
    assert runtime.registered == [("onnxruntime-ep-webgpu", library(facts))]
    assert found == [[EpDevice(facts.ep)]] * 8


def test_a_program_that_registered_it_before(monkeypatch: pytest.MonkeyPatch) -> None:
    way = (parse_device("webgpu"), True)
    runtime = installed(monkeypatch, way)
    runtime.register("onnxruntime-ep-webgpu", library(way[0].facts))
    opened(way[0])
    assert len(runtime.sessions) == 1


def test_a_plug_in_is_found_without_importing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = parse_device("webgpu").facts
    runtime = installed(monkeypatch, (parse_device("webgpu"), True))
    monkeypatch.setattr(sys.modules["onnxruntime_ep_webgpu"], "get_library_path", _raises(AssertionError("asked")))
    assert plugin_of(facts) == facts.wheels[0]
    assert plugin_of(parse_device("cuda").facts) is None
    assert not runtime.registered


def _raises(error: Exception) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail

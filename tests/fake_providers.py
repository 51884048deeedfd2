"""Every device of the catalog, installed in a fake onnxruntime, and what each provider says when it fails."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

import pytest
from fake_onnxruntime import EpDevice, Runtime, install

from onnxflow.cancel import CancelToken
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.store import embedded_folder
from onnxflow.providers import opening, plugin, saturation
from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.opening import Opened, open_session
from onnxflow.providers.provider import Provider
from onnxflow.providers.target import Target

GRAPH: Final = embedded_folder() / "text_encoder" / "model.onnx"
"""A graph with attention."""

Way = tuple[Device, bool]
"""A device, and whether a plug-in brings it."""


def _ways() -> list[Way]:
    found = []
    for facts in PROVIDERS:
        for unit in facts.units or (("1",) if facts.counted else ("",)):
            kinds = {wheel.plugin for wheel in facts.wheels} or {False}  # of some there are only builds of one's own
            found += [(Device(facts.name, unit), plugged) for plugged in sorted(kinds)]
    return [way for way in found if way[0] != CPU]


WAYS: Final = _ways()
every_way = pytest.mark.parametrize("way", WAYS, ids=[f"{one}{'-plugin' if plugged else ''}" for one, plugged in WAYS])
ONE_WAY: Final = list({device.provider: (device, plugged) for device, plugged in reversed(WAYS)}.values())[::-1]
every_provider = pytest.mark.parametrize("way", ONE_WAY, ids=[device.provider for device, _ in ONE_WAY])
"""Each provider by its first device."""

MEMORY: Final = {
    "cuda": "/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:376 void* onnxruntime::BFCArena::"
    "AllocateRawInternal(size_t) Failed to allocate memory for requested buffer of size 3221225472",
    "tensorrt": "CUDA failure 2: out of memory ; GPU=0 ; hostname=x ; file=cuda_allocator.cc ; line=34",
    "directml": r"D:\a\_work\1\s\onnxruntime\core\providers\dml\DmlExecutionProvider\src\ExecutionProvider.cpp(962)"
    r"\onnxruntime_pybind11_state.pyd!0000: (caller: 0000) Exception(1) tid(1) 8007000E Not enough memory resources are"
    " available to complete this operation.",
    "coreml": "std::bad_alloc",
    "openvino": "[GPU] Exceeded max size of memory allocation: Required 3221225472 bytes, but memory type limit is 1",
    "qnn": "[ONNXRuntimeError] : 1 : FAIL : graphFinalize fails with error 1002 / QNN_COMMON_ERROR_MEM_ALLOC",
    "webgpu": "Buffer size (3221225472) exceeds the max buffer size limit (1073741824).",
    "migraphx": "HIP failure 2: hipErrorOutOfMemory ; GPU=0",
    "xnnpack": "Failed to allocate memory for requested buffer of size 3221225472",
    "acl": "std::bad_alloc",
}
"""How each provider says that there is not enough memory; numbers where it says how much it asked for."""

NO_DEVICE: Final = {
    "cuda": (
        "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1",
        "there is no NVIDIA GPU that CUDA can use",
    ),
    "tensorrt": (
        "Failed to load library libonnxruntime_providers_tensorrt.so: libnvinfer.so.10: cannot open shared object",
        "TensorRT is missing, or of another version than ONNX Runtime was built for",
    ),
    "directml": (
        "The specified device interface or feature level is not supported on this system.",
        "this GPU or its driver does not know Direct3D 12",
    ),
    "coreml": ("Error compiling model: compiler error", "Core ML could not compile this graph for this Mac"),
    "openvino": (
        'Device with "GPU" name is not registered in the OpenVINO Runtime',
        "OpenVINO finds no Intel GPU, or no driver for it",
    ),
    "qnn": (
        "QNN SetupBackend failed Failed to create device. Error: 14001",
        "QNN does not reach the NPU: its driver is missing, too old, or closed to this user",
    ),
    "webgpu": (
        "Failed to get a WebGPU adapter: No supported adapters",
        "there is no GPU with a driver for Vulkan, Direct3D 12 or Metal",
    ),
    "migraphx": (
        "HIP failure 100: no ROCm-capable device is detected ; GPU=-1",
        "there is no AMD GPU that ROCm can use, or this user may not open it",
    ),
}
"""What each provider says where it cannot work, and the cause that the user is to read."""


def library(facts: Provider) -> str:
    """Where the plug-in's library lies."""
    return f"/plugins/{facts.name}.so"


def without_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """No plug-in is installed, and none was registered; what is asked once a process is asked anew."""
    for facts in PROVIDERS:
        for wheel in facts.wheels:
            if wheel.plugin:
                monkeypatch.setitem(sys.modules, wheel.module, None)
    monkeypatch.setattr(plugin, "_registered", set())
    monkeypatch.setattr(saturation, "saturates", lambda: False)  # it makes a session of its own
    opening._preload.cache_clear()


def add_plugin(monkeypatch: pytest.MonkeyPatch, facts: Provider) -> None:
    """The module of a provider's plug-in is installed."""
    wheel = next(wheel for wheel in facts.wheels if wheel.plugin)
    module: Any = ModuleType(wheel.module)
    module.__spec__ = ModuleSpec(wheel.module, None)
    module.get_library_path = lambda: library(facts)
    monkeypatch.setitem(sys.modules, wheel.module, module)


def installed(monkeypatch: pytest.MonkeyPatch, way: Way, **changes: Any) -> Runtime:
    """The fake package with the provider of a device, inside it or as a plug-in that offers the device."""
    device, plugged = way
    facts = device.facts
    without_plugins(monkeypatch)
    if plugged:
        add_plugin(monkeypatch, facts)
        kind = facts.hardware.get(device.unit, facts.hardware.get("", "GPU"))
        return install(monkeypatch, Runtime(**{"plugins": {library(facts): [EpDevice(facts.ep, kind)]}, **changes}))
    beside = ["CUDAExecutionProvider"] if facts.name == "tensorrt" else []
    return install(monkeypatch, Runtime(**{"compiled_in": [facts.ep, *beside], **changes}))


def opened(device: Device, precision: str = "fp32", cancel: CancelToken | None = None, **target: Any) -> Opened:
    """The graph with attention, called "the model", on a device."""
    return open_session(GraphFile(GRAPH), "the model", Target(device, precision, **target), cancel or CancelToken())

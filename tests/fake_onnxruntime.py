"""A package `onnxruntime` that computes with Python functions, for what the installed one does not have.

It has what onnxflow.providers uses of 1.31, with the same names, arguments and order of things: plug-ins offer devices
only after they were registered, a session that fails leaves its profiler's file, and asking for an assignment that was
not recorded fails.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

CPU_EP = "CPUExecutionProvider"
FAILED = "[ONNXRuntimeError] : 1 : FAIL : "


class Fail(Exception):
    """onnxruntime.capi.onnxruntime_pybind11_state.Fail; each of its exceptions is a class of its own."""


class InvalidProtobuf(Exception):
    """For a file that is none."""


@dataclass(frozen=True)
class EpDevice:
    """OrtEpDevice, with its OrtHardwareDevice in ``device``."""

    ep_name: str
    kind: str = "GPU"
    virtual: bool = False
    vendor: str = "Maker"

    @property
    def device(self) -> Any:
        metadata = {"Discrete": "1"} | ({"is_virtual": "1"} if self.virtual else {})
        return SimpleNamespace(type=SimpleNamespace(name=self.kind), vendor=self.vendor, metadata=metadata)


@dataclass(frozen=True)
class MemoryInfo:
    """OrtMemoryInfo: where an input is wanted."""

    name: str = "Cpu"
    device_id: int = 0
    device_vendor_id: int = 0


class SessionOptions:
    """What a session was asked for."""

    def __init__(self) -> None:
        self.log_severity_level = -1
        self.enable_profiling = False
        self.profile_file_prefix = "onnxruntime_profile_"
        self.entries: dict[str, str] = {}
        self.sizes: dict[str, int] = {}
        self.devices: list[EpDevice] = []
        self.device_options: dict[str, str] = {}
        self.cancelled = False

    def add_session_config_entry(self, key: str, value: str) -> None:
        self.entries[key] = value

    def add_free_dimension_override_by_name(self, name: str, size: int) -> None:
        self.sizes[name] = size

    def add_provider_for_devices(self, devices: Sequence[EpDevice], options: Mapping[str, str]) -> None:
        if not devices:
            raise Fail("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Must provide one or more OrtEpDevice instances.")
        self.devices, self.device_options = list(devices), dict(options)

    def set_load_cancellation_flag(self, value: bool) -> None:
        self.cancelled = value


class RunOptions:
    """What a run was asked for; the callback hears that it is to end."""

    def __init__(self) -> None:
        self.log_severity_level = -1
        self.terminate = False


Compute = Callable[[Mapping[str, np.ndarray], RunOptions], list[np.ndarray]]


def ones(feeds: Mapping[str, np.ndarray], options: RunOptions) -> list[np.ndarray]:
    """The output of a graph that does nothing."""
    return [np.ones(1, np.float32)]


@dataclass
class Runtime:
    """What the package is to be, and what was done with it.

    ``compiled_in`` are its providers besides the CPU, ``plugins`` the devices that each library (a path) offers,
    ``bad_plugins`` what registering one raises. ``took`` is each provider's operators in a session; None gives all that
    was asked for to the provider, with ``operators``. ``loading`` and ``running`` are raised, or called.
    """

    compiled_in: Sequence[str] = ()
    plugins: Mapping[str, Sequence[EpDevice]] = field(default_factory=dict)
    bad_plugins: Mapping[str, Exception] = field(default_factory=dict)
    operators: Sequence[str] = ("Conv", "MatMul", "Shape")
    took: Mapping[str, Sequence[str]] | None = None
    inputs: Mapping[str, tuple[list[Any], str]] = field(default_factory=lambda: {"x": ([1, "n"], "tensor(float)")})
    memory: MemoryInfo = MemoryInfo()
    loading: Exception | Callable[[SessionOptions], None] | None = None
    running: Exception | Callable[[], None] | None = None
    compute: Compute = ones
    events: Sequence[Mapping[str, Any]] = ()
    copies: bool = True
    sessions: list[Session] = field(default_factory=list)
    registered: list[tuple[str, str]] = field(default_factory=list)
    uploads: list[OrtValue] = field(default_factory=list)
    severity: list[int] = field(default_factory=list)
    preloads: int = 0

    def register(self, name: str, library: str) -> None:
        if name in [known for known, _ in self.registered]:
            raise Fail(f"{FAILED}library is already registered under {name}")
        if library in self.bad_plugins:
            raise self.bad_plugins[library]
        self.registered.append((name, library))

    def devices(self) -> list[EpDevice]:
        return [EpDevice(CPU_EP, "CPU"), *(d for _, lib in self.registered for d in self.plugins.get(lib, ()))]

    def copy(self, sources: Sequence[OrtValue], targets: Sequence[OrtValue]) -> None:
        for source, target in zip(sources, targets, strict=True):
            target.content = source.content.copy()
            self.uploads.append(target)

    def preload(self) -> None:
        self.preloads += 1
        print("Failed to load libcudart.so")  # the real one prints


class OrtValue:
    """A tensor somewhere."""

    def __init__(self, content: np.ndarray, place: tuple[str, int, int]) -> None:
        self.content, self.place = content, place

    @classmethod
    def ortvalue_from_numpy(cls, array: np.ndarray, /, device_type: str = "cpu", device_id: int = 0) -> OrtValue:
        return cls(array, (device_type, device_id, -1))

    @classmethod
    def ortvalue_from_shape_and_type(
        cls, shape: Sequence[int], element_type: Any, device_type: str = "cpu", device_id: int = 0, vendor_id: int = -1
    ) -> OrtValue:
        return cls(np.empty(shape, element_type), (device_type, device_id, vendor_id))


class IOBinding:
    """Inputs that were bound: arrays of the CPU's memory, and tensors of the device's."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.sent: dict[str, np.ndarray] = {}
        self.kept: dict[str, OrtValue] = {}
        self.outputs: dict[str, str] = {}
        self.found: list[np.ndarray] = []

    def bind_cpu_input(self, name: str, array: np.ndarray) -> None:
        assert array.flags.c_contiguous
        self.sent[name] = array

    def bind_ortvalue_input(self, name: str, value: OrtValue) -> None:
        self.kept[name] = value

    def bind_output(self, name: str, device_type: str = "cpu") -> None:
        self.outputs[name] = device_type

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        return self.found


class Session:
    """InferenceSession."""

    runtime: Runtime  # of the subclass that a package has

    def __init__(
        self,
        path_or_bytes: str | bytes,
        sess_options: SessionOptions,
        providers: Sequence[str | tuple[str, dict[str, str]]] | None = None,
        provider_options: None = None,
        *,
        enable_fallback: int = 1,
    ) -> None:
        assert enable_fallback == 0, "the wrapper would print an error, and make a session on the CPU"
        self.model, self.options, self.bindings = path_or_bytes, sess_options, list[IOBinding]()
        asked = [(one, {}) if isinstance(one, str) else one for one in providers or ()]
        for name, chosen in asked:
            assert name in (*self.runtime.compiled_in, CPU_EP), f"{name} is not in this build"
            assert all(isinstance(text, str) for pair in chosen.items() for text in pair)
        self.providers = dict(asked) or {d.ep_name: sess_options.device_options for d in sess_options.devices}
        self.profile = Path(f"{sess_options.profile_file_prefix}_2026.json") if sess_options.enable_profiling else None
        if self.profile is not None:
            self.profile.touch()
        happens = self.runtime.loading
        if isinstance(happens, Exception):
            raise happens
        if happens is not None:
            happens(sess_options)
        if sess_options.cancelled:
            raise Fail("[ONNXRuntimeError] : 12 : MODEL_LOAD_CANCELED : Graph loading canceled due to user request.")
        self.runtime.sessions.append(self)

    def get_provider_graph_assignment_info(self) -> list[Any]:
        if self.options.entries.get("session.record_ep_graph_assignment_info") != "1":
            raise Fail(f"{FAILED}Session configuration entry must be set to retrieve EP graph assignment information.")
        took = self.runtime.took
        if took is None:
            took = {next(iter(self.providers)): self.runtime.operators}
        return [
            SimpleNamespace(ep_name=ep, get_nodes=lambda op=op: [SimpleNamespace(op_type=op, domain="", name="n")])
            for ep, operators in took.items()
            for op in operators
        ]

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name=name, shape=s, type=t) for name, (s, t) in self.runtime.inputs.items()]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="y", shape=["n"], type="tensor(float)")]

    def get_input_memory_infos(self) -> list[MemoryInfo]:
        return [self.runtime.memory for _ in self.runtime.inputs]

    def run(self, names: Sequence[str], feeds: Mapping[str, np.ndarray], options: RunOptions) -> list[np.ndarray]:
        happens = self.runtime.running
        if isinstance(happens, Exception):
            raise happens
        if happens is not None:
            happens()
        if options.terminate:
            raise Fail(f"{FAILED}Exiting due to terminate flag being set to true.")
        return self.runtime.compute(feeds, options)

    def io_binding(self) -> IOBinding:
        self.bindings.append(IOBinding(self))
        return self.bindings[-1]

    def run_with_iobinding(self, binding: IOBinding, options: RunOptions) -> None:
        assert binding.session is self, "IOBinding must be used with the session that created it."
        feeds = {**binding.sent, **{name: value.content for name, value in binding.kept.items()}}
        binding.found = self.run(list(binding.outputs), feeds, options)

    def end_profiling(self) -> str:
        if self.profile is None:
            return ""
        self.profile.write_text(json.dumps(self.runtime.events))
        return str(self.profile)


def install(monkeypatch: pytest.MonkeyPatch, runtime: Runtime) -> Runtime:
    """Let `import onnxruntime` give the package that ``runtime`` describes."""
    module: Any = ModuleType("onnxruntime")
    module.InferenceSession = type("InferenceSession", (Session,), {"runtime": runtime})
    module.__version__ = "1.31.1"
    module.SessionOptions, module.RunOptions, module.OrtValue = SessionOptions, RunOptions, OrtValue
    # Measured with 1.31: a plug-in is listed here once it was registered, and asking by that name gives the CPU.
    module.get_available_providers = lambda: [*runtime.compiled_in, *{d.ep_name: 0 for d in runtime.devices()}]
    module.register_execution_provider_library = runtime.register
    module.get_ep_devices = runtime.devices
    module.set_default_logger_severity = runtime.severity.append
    module.preload_dlls = runtime.preload
    if runtime.copies:
        module.copy_tensors = runtime.copy
    monkeypatch.setitem(sys.modules, "onnxruntime", module)
    return runtime

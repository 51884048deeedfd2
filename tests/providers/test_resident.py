"""What stays in a device's memory between calls."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_onnxruntime import MemoryInfo, RunOptions, Runtime
from fake_providers import GRAPH, installed

from onnxflow.cancel import CancelToken
from onnxflow.models.graph_file import GraphFile
from onnxflow.providers import resident
from onnxflow.providers.device import Device, parse_device
from onnxflow.providers.graph import OrtGraph
from onnxflow.providers.target import Target

CUDA = parse_device("cuda:0")
INPUTS = {"x": (["n"], "tensor(float)"), "half": (["n"], "tensor(float16)")}
SMALL = np.zeros(1, np.float16)


@pytest.fixture(autouse=True)
def _nothing_uploaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resident, "_uploaded", {})


def cuda(monkeypatch: pytest.MonkeyPatch, device: Device = CUDA, **changes: Any) -> Runtime:
    memory = MemoryInfo("Cuda", 0, 0x10DE)
    compute = lambda feeds, options: [feeds["x"] * 2]  # noqa: E731
    return installed(monkeypatch, (device, False), **{"inputs": INPUTS, "memory": memory, "compute": compute} | changes)


def graph_on(device: Device) -> OrtGraph:
    return OrtGraph(GraphFile(Path(GRAPH)), "m", CancelToken(), Target(device, fallback=True))


def constant(size: int = 2000) -> Any:
    array = np.arange(size, dtype=np.float32)
    array.flags.writeable = False
    return array


def run(graph: OrtGraph, x: Any, half: Any = SMALL) -> None:
    np.testing.assert_array_equal(graph.run({"x": x, "half": half}, CancelToken())["y"], x * 2)


def test_an_array_is_uploaded_once_for_every_call_and_session(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = cuda(monkeypatch)
    one, other, x = graph_on(CUDA), graph_on(CUDA), constant()
    for graph in (one, one, other):
        run(graph, x)
    (kept,) = runtime.uploads
    assert kept.place == ("gpu", 0, 0x10DE)
    for session in runtime.sessions:
        for binding in session.bindings:
            assert binding.kept == {"x": kept} and binding.sent.keys() == {"half"}
            assert binding.outputs == {"y": "cpu"}
    run(one, constant())  # equal, and another one
    assert len(runtime.uploads) == 2


def test_another_device_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, x = cuda(monkeypatch), constant()
    for device in (CUDA, parse_device("cuda:1")):
        run(graph_on(device), x)
    assert len(runtime.uploads) == 2


def test_it_is_dropped_with_the_array(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda(monkeypatch)
    graph, x = graph_on(CUDA), constant()
    run(graph, x)
    assert len(resident._uploaded) == 1
    del x
    gc.collect()
    assert resident._uploaded == {}


def test_arrays_that_are_converted_are_uploaded_once_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are told apart by what was given: what it is converted to dies, and the next one may lie in its place."""
    seen: list[float] = []

    def compute(feeds: Mapping[str, Any], options: RunOptions) -> list[Any]:
        seen.append(float(feeds["half"][1]))
        return [np.ones(1)]

    runtime = cuda(monkeypatch, compute=compute)
    graph, x, y = graph_on(CUDA), constant(4000), np.full(4000, 7, np.float32)
    y.flags.writeable = False
    for half in (x, y, x, y):
        graph.run({"x": x, "half": half}, CancelToken())
    assert seen == [1.0, 7.0, 1.0, 7.0]
    assert [value.content.dtype for value in runtime.uploads] == [np.float32, np.float16, np.float16]


def _view_of_writeable() -> Any:
    view = np.arange(2000, dtype=np.float32)[:]
    view.flags.writeable = False
    return view


def _foreign() -> Any:
    return np.frombuffer(bytearray(8000), np.float32).view()


@pytest.mark.parametrize(
    "x",
    [np.zeros(2000, np.float32), constant(1023), _view_of_writeable(), _foreign()],
    ids=["writeable", "small", "view", "foreign"],
)
def test_what_may_change_or_is_small_goes_with_the_call(monkeypatch: pytest.MonkeyPatch, x: Any) -> None:
    runtime = cuda(monkeypatch)
    graph = graph_on(CUDA)
    run(graph, x)
    assert runtime.uploads == []
    assert runtime.sessions[0].bindings[0].sent.keys() == {"x", "half"}


def test_a_view_of_what_nobody_can_write_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, x = cuda(monkeypatch), constant()[100:]
    graph = graph_on(CUDA)
    run(graph, x)
    run(graph, x)
    assert len(runtime.uploads) == 1


def test_an_onnxruntime_that_cannot_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, x = cuda(monkeypatch, copies=False), constant()
    graph = graph_on(CUDA)
    run(graph, x)
    run(graph, x)
    assert all(binding.sent.keys() == {"x", "half"} for binding in runtime.sessions[0].bindings)
    assert resident._uploaded == {}


def test_inputs_that_are_wanted_in_the_cpus_memory_are_not_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = cuda(monkeypatch, memory=MemoryInfo("Cpu"))
    run(graph_on(CUDA), constant())
    assert runtime.sessions[0].bindings == []

"""Graphs on devices: what they are fed, their first call, their sizes, and how they are closed."""

from __future__ import annotations

import gc
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_onnxruntime import Fail, MemoryInfo, RunOptions, Runtime, SessionOptions
from fake_providers import GRAPH, MEMORY, NO_DEVICE, Way, every_provider, installed

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled, InputError, MemoryLimitError, ModelError, ProviderError
from onnxflow.models.graph_file import GraphFile
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.graph import MOST_SIZES, NO_FACTS, OrtGraph, SizedGraph
from onnxflow.providers.target import Target

X = np.zeros((1, 3), np.float32)
OPENVINO = (Device("openvino", "cpu"), False)
EVENTS = [
    {"cat": "Session", "name": "model_loading_uri", "dur": 1_000_000},
    {"cat": "Session", "name": "session_initialization", "dur": 3_000_000},
    {"cat": "Node", "name": "a_kernel_time", "dur": 75, "args": {"provider": "OpenVINOExecutionProvider"}},
    {"cat": "Node", "name": "b_kernel_time", "dur": 25, "args": {"provider": "CPUExecutionProvider"}},
]


@pytest.fixture(autouse=True)
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where the profiler writes."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def graph_on(device: Device, cancel: CancelToken | None = None, sizes: Mapping[str, int] | None = None) -> OrtGraph:
    return OrtGraph(GraphFile(GRAPH), "m", cancel or CancelToken(), Target(device), sizes)


@every_provider
def test_a_graph_runs(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    memory = MemoryInfo("Gpu") if way[0].facts.memory else MemoryInfo()
    runtime = installed(monkeypatch, way, memory=memory, compute=lambda feeds, options: [feeds["x"] + 1])
    graph = graph_on(way[0])
    assert graph.facts.first_seconds == 0
    np.testing.assert_array_equal(graph.run({"x": X}, CancelToken())["y"], X + 1)
    assert graph.facts.first_seconds > 0
    assert graph.facts.nodes == {way[0].facts.ep: 3}
    assert bool(runtime.sessions[0].bindings) == way[0].facts.memory


def test_feeds_are_given_in_the_graphs_types(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def compute(feeds: Mapping[str, np.ndarray], options: RunOptions) -> list[np.ndarray]:
        seen.update({name: array.dtype for name, array in feeds.items()}, severity=options.log_severity_level)
        return [X]

    inputs = {"a": ([1], "tensor(float16)"), "b": ([None, "n"], "tensor(int64)"), "c": ([], "tensor(bool)")}
    installed(monkeypatch, (CPU, False), inputs=inputs, compute=compute)
    graph = graph_on(CPU)
    graph.run({"a": np.ones(1), "b": np.ones((2, 2), np.int32), "c": np.bool_(True)}, CancelToken())
    assert seen == {"a": np.float16, "b": np.int64, "c": np.bool_, "severity": 4}
    assert (graph.inputs, graph.outputs) == ({"a": (1,), "b": (None, "n"), "c": ()}, ("y",))


def test_feeds_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, (CPU, False))
    graph = graph_on(CPU)
    with pytest.raises(ModelError, match="it also needs x and it does not know z"):
        graph.run({"z": X}, CancelToken())
    for wrong in (np.zeros((2, 3)), np.zeros(3)):
        with pytest.raises(InputError, match=r"m takes x of shape \[1, 'n'\], it was given \["):
            graph.run({"x": wrong}, CancelToken())


@every_provider
def test_what_fails_while_running(monkeypatch: pytest.MonkeyPatch, temporary: Path, way: Way) -> None:
    device, _ = way
    runtime = installed(monkeypatch, way, memory=MemoryInfo("Gpu"), running=Fail(MEMORY[device.provider]))
    graph = graph_on(device)
    with pytest.raises(MemoryLimitError, match="not enough memory to run m"):
        graph.run({"x": X}, CancelToken())
    says, cause = NO_DEVICE.get(device.provider, ("lost", "m failed: lost"))
    runtime.running = Fail(says)
    with pytest.raises(ProviderError) as caught:
        graph.run({"x": X}, CancelToken())
    assert cause in caught.value.message
    assert graph.facts.first_seconds == 0
    graph.close()
    assert list(temporary.iterdir()) == []


@every_provider
def test_a_run_is_cancelled(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    cancel = CancelToken()
    runtime = installed(monkeypatch, way, memory=MemoryInfo("Gpu"), running=cancel.cancel)
    graph = graph_on(way[0])
    with pytest.raises(Cancelled):
        graph.run({"x": X}, cancel)
    runtime.running = None
    assert graph.run({"x": X}, CancelToken()).keys() == {"y"}  # the next run is not


def test_the_first_call_is_profiled_and_nothing_stays(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    installed(monkeypatch, OPENVINO, events=EVENTS)
    graph = graph_on(OPENVINO[0])
    assert len(list(temporary.iterdir())) == 1
    graph.run({"x": X}, CancelToken())
    assert graph.facts.time_shares == {"OpenVINOExecutionProvider": 0.75, "CPUExecutionProvider": 0.25}
    assert graph.facts.build_seconds == 3.0
    assert list(temporary.iterdir()) == []


def test_first_calls_of_several_threads_end_the_profile_once(monkeypatch: pytest.MonkeyPatch, temporary: Path) -> None:
    both = threading.Barrier(4, timeout=20)
    runtime = installed(monkeypatch, OPENVINO, events=EVENTS, running=lambda: both.wait() and None)
    graph = graph_on(OPENVINO[0])
    ended: list[int] = []
    real = runtime.sessions[0].end_profiling
    monkeypatch.setattr(runtime.sessions[0], "end_profiling", lambda: (ended.append(1), real())[1])
    threads = [threading.Thread(target=graph.run, args=({"x": X}, CancelToken())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert ended == [1]
    assert sum(graph.facts.time_shares.values()) == 1.0
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_a_graph_that_never_ran_leaves_nothing(monkeypatch: pytest.MonkeyPatch, temporary: Path, how: str) -> None:
    installed(monkeypatch, OPENVINO)
    graph = graph_on(OPENVINO[0])
    if how == "closed":
        graph.close()
        graph.close()
    else:
        del graph
        gc.collect()
    assert list(temporary.iterdir()) == []


class Sizes:
    """Loads graphs of fixed sizes, and remembers which are open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        self.runtime: Runtime = installed(monkeypatch, (Device("qnn", "npu"), True), **changes)
        self.loaded: list[Mapping[str, int]] = []
        self.open: list[int] = []
        self.graph = SizedGraph(self.load, {"x": (1, "n"), "other": ("batch", 4)}, ("y",))

    def load(self, sizes: Mapping[str, int], cancel: CancelToken) -> OrtGraph:
        self.loaded.append(sizes)
        graph = graph_on(Device("qnn", "npu"), sizes=sizes)
        self.open.append(sizes["n"])
        close = graph.close
        graph.close = lambda: (self.open.remove(sizes["n"]), close())[1]  # type: ignore[method-assign]
        return graph

    def run(self, n: int) -> None:
        self.graph.run({"x": np.zeros((1, n), np.float32)}, CancelToken())


def test_a_size_is_loaded_once_and_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Sizes(monkeypatch)
    assert sizes.graph.facts is NO_FACTS
    sizes.run(3)
    sizes.run(3)
    assert sizes.loaded == [{"n": 3}]
    assert sizes.runtime.sessions[0].options.sizes == {"n": 3}
    assert sizes.graph.facts.nodes == {"QNNExecutionProvider": 3}


def test_a_few_sizes_stay_open_those_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_SIZES == 2
    sizes = Sizes(monkeypatch)
    for n in (1, 2, 1, 3):
        sizes.run(n)
    assert sizes.open == [1, 3]
    sizes.graph.close()
    assert sizes.open == []


def test_every_named_dimension_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = {"x": ([1, "n"], "tensor(float)"), "other": (["batch", 4], "tensor(float)")}
    sizes = Sizes(monkeypatch, inputs=inputs)
    sizes.graph.run({"x": X, "other": np.zeros((2, 4), np.float32)}, CancelToken())
    assert sizes.loaded == [{"batch": 2, "n": 3}]
    with pytest.raises(ModelError, match="it also needs other"):
        sizes.graph.run({"x": X}, CancelToken())


def test_a_size_that_cannot_be_loaded_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Sizes(monkeypatch, loading=Fail("no"))
    with pytest.raises(ProviderError):
        sizes.run(3)
    sizes.runtime.loading = None
    sizes.run(3)
    assert sizes.open == [3]


def test_a_size_that_is_running_is_neither_closed_nor_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Sizes(monkeypatch)
    running, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        running.set()
        assert go_on.wait(20)

    sizes.runtime.running = slow
    failed: list[BaseException] = []

    def first() -> None:
        try:
            sizes.run(1)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert running.wait(20)
    sizes.runtime.running = None
    for n in (2, 3, 4):
        sizes.run(n)
    assert sizes.open == [1, 4]
    go_on.set()
    thread.join(20)
    assert failed == []


def test_a_size_that_is_loading_is_not_waited_for_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Sizes(monkeypatch)
    sizes.run(1)
    loading, go_on = threading.Event(), threading.Event()

    def slow(options: SessionOptions) -> None:
        loading.set()
        assert go_on.wait(20)

    sizes.runtime.loading = slow
    thread = threading.Thread(target=sizes.run, args=(2,))
    thread.start()
    assert loading.wait(20)
    other = threading.Thread(target=sizes.run, args=(1,), daemon=True)
    other.start()
    other.join(20)
    assert not other.is_alive()
    go_on.set()
    thread.join(20)
    assert sizes.open == [1, 2]


def test_a_size_is_prepared_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = Sizes(monkeypatch)
    feeds = {"x": np.zeros((1, 3), np.float32)}
    assert not sizes.graph.ready(feeds)
    sizes.graph.prepare(feeds, CancelToken())
    assert sizes.graph.ready(feeds) and sizes.loaded == [{"n": 3}]
    sizes.run(3)
    assert len(sizes.loaded) == 1

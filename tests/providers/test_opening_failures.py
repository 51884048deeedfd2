"""What goes wrong with sessions on every device: left out, refused, out of memory, damaged, cancelled."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import Any

import pytest
from fake_onnxruntime import CPU_EP, Fail, InvalidProtobuf, SessionOptions
from fake_providers import GRAPH, MEMORY, NO_DEVICE, Way, every_provider, every_way, installed, opened

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled, MemoryLimitError, ModelError, ProviderError
from onnxflow.models.decompose import AttentionError
from onnxflow.models.graph_file import GraphFile
from onnxflow.providers import opening
from onnxflow.providers.assignment import Assignment, assignment_of
from onnxflow.providers.device import Device
from onnxflow.providers.opening import open_session
from onnxflow.providers.target import Target


@every_way
def test_a_graph_that_was_taken_whole(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    installed(monkeypatch, way)
    assert opened(way[0]).assignment.nodes == {way[0].facts.ep: 3}


@every_provider
def test_sizes_may_be_computed_on_the_cpu(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    ep = way[0].facts.ep
    installed(monkeypatch, way, took={ep: ["Conv", "MatMul"], CPU_EP: ["Shape", "Gather", "Concat", "Cast"]})
    assert opened(way[0]).assignment.elsewhere(ep) == {}


@every_provider
def test_heavy_operators_may_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: Way) -> None:
    device, _ = way
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    took = {device.facts.ep: ["Conv", "Shape"], CPU_EP: ["Softmax", "MatMul", "MatMul", "Gather"]}
    installed(monkeypatch, way, took=took)
    with pytest.raises(ProviderError) as caught:
        opened(device)
    assert caught.value.message == (
        f"the model: {device} took 1 of 4 heavy nodes; 2 MatMul, 1 Softmax would run elsewhere (cpu)"
    )
    assert "--fallback allow" in caught.value.hint and caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []  # nor does the profiler leave anything
    assert opened(device, fallback=True).assignment.elsewhere(device.facts.ep) == {"MatMul": 2, "Softmax": 1}


@every_provider
def test_a_device_that_took_nothing(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    device, _ = way
    installed(monkeypatch, way, took={CPU_EP: ["Conv", "MatMul"]})
    with pytest.raises(ProviderError) as caught:
        opened(device)
    assert caught.value.message == f"the model: {device} took none of its 2 heavy nodes, cpu would run"
    assert opened(device, fallback=True).assignment.nodes == {CPU_EP: 2}


def test_what_another_provider_of_the_wheel_takes_is_elsewhere_too(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {"TensorrtExecutionProvider": ["Conv"], "CUDAExecutionProvider": ["InstanceNormalization"]}
    installed(monkeypatch, (Device("tensorrt", "0"), False), took=took)
    with pytest.raises(
        ProviderError, match=r"1 of 2 heavy nodes; 1 InstanceNormalization would run elsewhere \(cuda\)"
    ):
        opened(Device("tensorrt", "0"))


@every_provider
def test_a_provider_that_cannot_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: Way) -> None:
    device, _ = way
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    says, cause = NO_DEVICE.get(device.provider, ("it does not feel like it", ""))
    installed(monkeypatch, way, loading=Fail(f"[ONNXRuntimeError] : 1 : FAIL : {says}"))
    with pytest.raises(ProviderError) as caught:
        opened(device)
    cure = next((one.cure for one in device.facts.symptoms if one.cause == cause), "")
    if cause:
        assert (caught.value.message, caught.value.hint) == (f"the model: {cause}", cure)
    else:
        assert caught.value.message == f"cannot load the model on {device}: it does not feel like it"
        assert "onnxflow doctor" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@every_provider
def test_not_enough_memory_to_load(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    device, _ = way
    says = MEMORY[device.provider]
    installed(monkeypatch, way, loading=Fail(says))
    with pytest.raises(MemoryLimitError) as caught:
        opened(device)
    assert caught.value.exit_code == 4
    assert caught.value.message.startswith("not enough memory to load the model")
    assert ("it asked for 3.2 GB" in caught.value.message) == ("3221225472" in says)
    assert "NAME@fp16" in caught.value.hint and "--place COMPONENT=cpu" in caught.value.hint


def test_not_enough_memory_to_rewrite_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> bytes:
        raise MemoryError

    installed(monkeypatch, (Device("coreml", "gpu"), False))
    monkeypatch.setattr(opening, "without_fused_attention", full)
    with pytest.raises(MemoryLimitError, match="to load the model"):
        opened(Device("coreml", "gpu"))


@every_provider
def test_a_precision_without_kernels(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    says = "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation for Conv(11) node with name 'a'"
    installed(monkeypatch, way, loading=Fail(says))
    with pytest.raises(ProviderError, match="no kernel for Conv of opset 11 in this precision") as caught:
        opened(way[0])
    assert "NAME@fp32" in caught.value.hint


DAMAGED = [
    InvalidProtobuf(
        "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from m.onnx failed:Protobuf parsing failed."
    ),
    Fail("[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Load model from m failed:No graph was found in the protobuf."),
    Fail("[ONNXRuntimeError] : 1 : FAIL : Type Error: Type parameter (T) of Optype (Add) bound to different types"),
    Fail(
        "[ONNXRuntimeError] : 1 : FAIL : Exception during initialization: /onnxruntime_src/onnxruntime/core/optimizer/"
        "initializer.cc:51 onnxruntime::Initializer::Initializer(const T&) [ONNXRuntimeError] : 1 : FAIL"
        " : tensorprotoutils.cc:1876 GetExtDataFromTensorProto External initializer: w offset: 0 size to read: 16 given"
        " file_length: 3 are out of bounds or can not be read in full.\n"
    ),
]
"""What ONNX Runtime 1.31 said of such files."""


@every_provider
def test_a_damaged_file_is_not_the_devices_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: Way) -> None:
    for says in DAMAGED:
        installed(monkeypatch, way, loading=says)
        with pytest.raises(ModelError, match="cannot load the model") as caught:
            opened(way[0])
        assert caught.value.where == str(GRAPH)
    (tmp_path / "model.onnx").write_bytes(b"\0\1\2")
    with pytest.raises(ModelError):
        open_session(GraphFile(tmp_path / "model.onnx"), "m", Target(way[0]), CancelToken())


@every_provider
def test_a_load_is_cancelled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: Way) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cancel = CancelToken()
    asked: list[bool] = []

    def loading(options: SessionOptions) -> None:
        cancel.cancel()
        asked.append(options.cancelled)

    runtime = installed(monkeypatch, way, loading=loading)
    with pytest.raises(Cancelled):
        opened(way[0], cancel=cancel)
    assert asked == [True] and not runtime.sessions
    assert list(tmp_path.iterdir()) == []


@every_provider
def test_a_session_that_is_refused_is_let_go(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    """The next device needs its memory."""
    runtime = installed(monkeypatch, way, took={CPU_EP: ["Conv"]})
    seen: list[weakref.ref[Any]] = []

    def watch(session: Any) -> Assignment:
        seen.append(weakref.ref(session))
        runtime.sessions.clear()
        return assignment_of(session)

    monkeypatch.setattr(opening, "assignment_of", watch)
    try:
        opened(way[0])
    except ProviderError:
        assert seen[0]() is None
    else:
        raise AssertionError("nothing failed")


def test_half_a_session_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    class Half:
        alive = 0

        def __init__(self) -> None:
            Half.alive += 1

        def __del__(self) -> None:
            Half.alive -= 1

    def loading(options: SessionOptions) -> None:
        half = Half()  # noqa: F841  # as the wrapper's frame holds what it has of a session
        raise Fail("no device")

    installed(monkeypatch, (Device("cuda", "0"), False), loading=loading)
    try:
        opened(Device("cuda", "0"))
    except ProviderError:
        assert Half.alive == 0
    else:
        raise AssertionError("nothing failed")


def test_an_attention_that_cannot_be_split_is_the_devices_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that auto and --fallback allow take the CPU, which has a kernel for it."""
    installed(monkeypatch, (Device("openvino", "cpu"), False))

    def refuse(path: Path) -> bytes:
        raise AttentionError("the attention x has more than query, key and value", hint="export it again")

    monkeypatch.setattr(opening, "without_fused_attention", refuse)
    with pytest.raises(ProviderError, match="openvino:cpu has no kernel for this model's attention: the attention x"):
        opened(Device("openvino", "cpu"))

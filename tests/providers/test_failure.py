"""ONNX Runtime's exceptions in our words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fake_onnxruntime import Fail
from said import SAID

from onnxflow.errors import MemoryLimitError, ModelError, ProviderError
from onnxflow.memory import Memory
from onnxflow.providers import failure
from onnxflow.providers.catalog import provider_named
from onnxflow.providers.device import CPU, parse_device
from onnxflow.providers.failure import first_line, loading_error, mended, running_error
from onnxflow.providers.provider import Library

_RUN = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Name:'c' Status Message: "
)
LINES = [
    ("[ONNXRuntimeError] : 1 : FAIL : Exiting due to a flag.", "Exiting due to a flag."),
    (
        (
            "/onnxruntime_src/onnxruntime/core/session/plugin_ep/ep_plugin_provider_interfaces.cc:71 virtual"
            " std::unique_ptr<onnxruntime::IExecutionProvider> onnxruntime::PluginExecutionProviderFactory::"
            "CreateProvider(const OrtSessionOptions&, const OrtLogger&) Error creating execution provider:"
            " [ONNXRuntimeError] : 2 : INVALID_ARGUMENT : WebGPU EP was selected on a virtual GPU device, which has no"
        ),
        "WebGPU EP was selected on a virtual GPU device, which has no",
    ),
    (
        (
            "[ONNXRuntimeError] : 1 : FAIL : External data path validation failed for initializer: w. Error:"
            ' tensorprotoutils.cc:461 ValidateExternalDataPathFromDir External data path does not exist: "/w.bin"'
        ),
        'External data path validation failed for initializer: w. Error: External data path does not exist: "/w.bin"',
    ),
    (
        (
            f"{_RUN}/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:129 std::conditional_t<THRW, void,"
            " onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, const std::function<void(int)>&)"
            " [with ERRTYPE = cudaError; bool THRW = true] CUDA failure 700: an illegal (memory) access ; GPU=0"
        ),
        (
            "Non-zero status code returned while running Conv node. Name:'c' Status Message: CUDA failure 700: an"
            " illegal (memory) access ; GPU=0"
        ),
    ),
    (
        "/o/core/a.cc:5 virtual void onnxruntime::(anonymous namespace)::A::operator()(int) const x (y) was false",
        "x (y) was false",
    ),
    (r"D:\a\_work\1\s\onnxruntime\core\a.cc:121 onnxruntime::CudaCall CUDA failure 3", "CUDA failure 3"),
    (
        "Load model from /m/a.onnx failed:/o/core/graph/model.h:46 void onnxruntime::F(int) Opset 99 is new\nmore",
        "Load model from /m/a.onnx failed:Opset 99 is new",
    ),
    ("/m/model.h is gone", "/m/model.h is gone"),
    ("[ONNXRuntimeError] : 1 : FAIL : ", "[ONNXRuntimeError] : 1 : FAIL :"),
    ("x" * 400, "x" * 300),
    ("", "Fail"),
]


@pytest.mark.parametrize(("text", "line"), LINES, ids=range(len(LINES)))
def test_the_end_of_what_is_said_is_read(text: str, line: str) -> None:
    assert first_line(Fail(text)) == line


OUT = [(name, message) for name, message, cause in SAID if cause in ("memory", "enough memory", "not enough memory")]


@pytest.mark.parametrize(("name", "message"), OUT)
def test_not_enough_memory_is_exit_code_4_whoever_says_it(name: str, message: str) -> None:
    device = parse_device(name)
    for error in (
        loading_error(Fail(message), "m", Path("m.onnx"), device),
        running_error(Fail(message), "m", device),
    ):
        assert isinstance(error, MemoryLimitError)
        assert error.exit_code == 4


def test_every_provider_with_such_a_symptom_was_tried() -> None:
    names = {name for name, *_ in SAID for symptom in provider_named(name).symptoms if "enough memory" in symptom.cause}
    assert names == {name for name, _ in OUT}


OTHERS = [(name, message) for name, message, _ in SAID if (name, message) not in OUT and name != "cpu"]


@pytest.mark.parametrize(("name", "message"), OTHERS)
def test_the_cause_and_cure_of_other_failures(name: str, message: str) -> None:
    device = parse_device(name)
    found = [
        loading_error(Fail(message), "m", Path("m.onnx"), device),
        running_error(Fail(message), "m", device),
    ]
    known = failure.symptom_of(message, device.facts.symptoms)
    assert known is not None
    assert [(type(error), error.message, error.hint) for error in found] == [
        (ProviderError, f"m: {known.cause}", known.cure)
    ] * 2


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("Failed to allocate memory for requested buffer of size 2500000000", "it asked for 2.5 GB"),
        ("Available memory of 0 is smaller than requested bytes of 67108864 in bfc_arena", "it asked for 67.1 MB"),
        ("[GPU] Exceeded max size of memory allocation: Required 9663676416 bytes", "it asked for 9.7 GB"),
        ("Buffer size (3185049600) exceeds the max buffer size limit (1073741824).", "it asked for 3.2 GB"),
    ],
)
def test_what_was_asked_for_and_what_is_free(monkeypatch: pytest.MonkeyPatch, message: str, told: str) -> None:
    monkeypatch.setattr(failure, "free_memory", lambda: Memory(1_500_000_000, 0))
    assert running_error(Fail(message), "m", CPU).message == f"not enough memory to run m ({told}, 1.5 GB are free)"
    assert "1.5 GB" in running_error(Fail(message), "m", parse_device("openvino:cpu")).message
    for elsewhere in ("cuda:0", "openvino:gpu", "qnn:npu"):  # whose memory is another one
        message_there = running_error(Fail(message), "m", parse_device(elsewhere)).message
        assert message_there == f"not enough memory to run m ({told})"


def test_pythons_own_lack_of_memory() -> None:
    error = running_error(MemoryError(), "m", CPU)
    assert isinstance(error, MemoryLimitError)
    assert "closing other programs" in error.hint and "--place" not in error.hint


def test_what_is_unknown_while_running() -> None:
    on_cpu = running_error(Fail("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : bad index"), "m", CPU)
    assert (type(on_cpu), on_cpu.message, on_cpu.hint) == (ProviderError, "m failed: bad index", "")
    assert "another device" in running_error(Fail("bad index"), "m", parse_device("cuda")).hint


def test_what_the_cpu_cannot_load_is_the_files_fault() -> None:
    error = loading_error(Fail("[ONNXRuntimeError] : 1 : FAIL : who knows"), "m", Path("m.onnx"), CPU)
    assert isinstance(error, ModelError)
    assert error.message == "cannot load m: who knows"


@pytest.mark.parametrize(
    "text", ["for the node /a:b/Conv_1:ConvInteger(10)", "for ConvInteger(10) node with name '/a:b/Conv_1'"]
)
def test_a_missing_kernel_is_named(text: str) -> None:
    says = f"[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Could not find an implementation {text}"
    for device in (CPU, parse_device("cuda")):
        error = loading_error(Fail(says), "m", Path("m.onnx"), device)
        assert isinstance(error, ProviderError)
        assert "has no kernel for ConvInteger of opset 10" in error.message


def test_the_first_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = replace(
        provider_named("cuda"),
        libraries=(Library("there.so", "linux", "a"), Library("b.dll", "win32", "b"), Library("gone.so", "linux", "c")),
    )
    monkeypatch.setattr("onnxflow.providers.failure.sys.platform", "linux")
    monkeypatch.setattr(failure, "loads", lambda name: name == "there.so")
    assert mended(facts) == "c"
    monkeypatch.setattr(failure, "loads", lambda name: True)
    assert mended(facts) == ""


def test_a_library_that_is_none_does_not_load() -> None:
    assert not failure.loads("libonnxflow-has-none.so.7")

"""Sessions on every device of the catalog, with a fake onnxruntime: what is asked for, and what must be true of it."""

from __future__ import annotations

import platform
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_onnxruntime import CPU_EP, Runtime, install
from fake_providers import GRAPH, Way, every_way, installed, opened, without_plugins

from onnxflow.cancel import CancelToken
from onnxflow.errors import ProviderError
from onnxflow.models.decompose import without_fused_attention
from onnxflow.models.graph_file import GraphFile
from onnxflow.providers import install as installing
from onnxflow.providers import opening, saturation
from onnxflow.providers.cache_folder import digest
from onnxflow.providers.catalog import PROVIDERS, provider_names
from onnxflow.providers.device import CPU, Device, parse_device
from onnxflow.providers.opening import open_session
from onnxflow.providers.target import Target

ATTENTION = {"cuda", "directml", "webgpu"}
"""Providers with a kernel for com.microsoft:MultiHeadAttention."""
CUDA = {"cudnn_conv_use_max_workspace": "1", "arena_extend_strategy": "kSameAsRequested", "use_tf32": "0"}
TRT = {"trt_min_subgraph_size": "5"}
TRT_CACHE = {
    "trt_engine_cache_enable": "1",
    "trt_engine_cache_path": "FOLDER",
    "trt_timing_cache_enable": "1",
    "trt_timing_cache_path": "FOLDER",
}
COREML = {"ModelFormat": "MLProgram", "RequireStaticInputShapes": "1", "ModelCacheDirectory": "FOLDER"}
OPENVINO = {"precision": "ACCURACY", "cache_dir": "FOLDER"}
OPTIONS = {
    "cuda:1 fp32": {"device_id": "1", **CUDA},
    "cuda:1 fp16": {"device_id": "1", **CUDA},
    "tensorrt:1 fp32": {"device_id": "1", **TRT, **TRT_CACHE},
    "tensorrt:1 fp16": {"device_id": "1", **TRT, **TRT_CACHE, "trt_fp16_enable": "1"},
    "directml:1 fp32": {"device_id": "1"},
    "coreml:gpu fp32": {"MLComputeUnits": "CPUAndGPU", **COREML},
    "coreml:npu fp32": {"MLComputeUnits": "CPUAndNeuralEngine", **COREML},
    "coreml:all fp16": {"MLComputeUnits": "ALL", **COREML},
    "coreml:cpu fp32": {"MLComputeUnits": "CPUOnly", **COREML},
    "openvino:cpu fp32": {"device_type": "CPU", **OPENVINO},
    "openvino:gpu fp16": {"device_type": "GPU", "cache_dir": "FOLDER"},
    "openvino:gpu fp32": {"device_type": "GPU", **OPENVINO},
    "openvino:npu fp32": {"device_type": "NPU", **OPENVINO},
    "migraphx:1 fp32": {"device_id": "1", "migraphx_model_cache_dir": "FOLDER"},
    "xnnpack fp32": {},
    "acl fp32": {},
}
PLUGINS = {
    "openvino:cpu fp32": {
        "load_config": '{"CPU": {"INFERENCE_PRECISION_HINT": "f32", "CACHE_DIR": "FOLDER"}}',
    },
    "openvino:npu fp16": {"load_config": '{"NPU": {"CACHE_DIR": "FOLDER"}}'},
    "qnn:npu fp16": {"htp_performance_mode": "burst"},
    "qnn:gpu fp16": {"htp_performance_mode": "burst"},
    "webgpu fp16": {},
    "webgpu fp32": {},
}
"""The options of a plug-in: its device is one of the list, so that no option names it."""

LINUX, ARM, MAC = ("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64")
WINDOWS, WINDOWS_ARM = ("win32", "amd64"), ("win32", "arm64")
INSTALL = {
    "cpu": {"pip install onnxflow": (LINUX, ARM, MAC, WINDOWS, WINDOWS_ARM)},
    "cuda": {"pip install onnxflow-cuda": (LINUX, WINDOWS)},
    "tensorrt": {"pip install onnxflow-cuda": (LINUX, WINDOWS)},
    "directml": {"pip install onnxflow-directml": (WINDOWS,)},
    "coreml": {"pip install onnxflow": (MAC,)},
    "openvino": {"pip install onnxflow-openvino": (LINUX, WINDOWS)},  # its plug-in knows Intel's processors only
    "qnn": {"pip install 'onnxflow[qnn]'": (ARM, WINDOWS_ARM)},
    "webgpu": {"pip install 'onnxflow[webgpu]'": (LINUX, ARM, MAC, WINDOWS, WINDOWS_ARM)},
    "migraphx": {
        "its maker gives onnxruntime-migraphx, which PyPI does not have: name another device": (
            *(LINUX, ARM, MAC, WINDOWS, WINDOWS_ARM),
        )
    },
}
"""In an environment with nothing in it; tests/providers/test_install.py has others."""
OWN_BUILD = "it is in no wheel, only in builds of ONNX Runtime of one's own: name another device"


@pytest.mark.parametrize("here", [LINUX, ARM, MAC, WINDOWS, WINDOWS_ARM], ids="-".join)
@pytest.mark.parametrize("name", provider_names())
def test_what_is_not_installed_is_told_with_its_command(
    monkeypatch: pytest.MonkeyPatch, name: str, here: tuple[str, str]
) -> None:
    without_plugins(monkeypatch)
    nothing_installed(monkeypatch)
    monkeypatch.setattr(opening, "sys", SimpleNamespace(platform=here[0]))
    monkeypatch.setattr(platform, "machine", lambda: here[1].upper())  # Windows says AMD64
    device = parse_device(name)
    nowhere = (
        f"there is no wheel of it for {here[0]} on {here[1]}: name another device; `onnxflow providers` lists them"
    )
    expected = next((hint for hint, places in INSTALL.get(name, {}).items() if here in places), nowhere)
    if name == "cpu":
        assert opening.not_installed(device).hint == expected
        return
    runtime = install(monkeypatch, Runtime())
    with pytest.raises(ProviderError) as caught:
        opened(device)
    assert caught.value.exit_code == 3
    assert caught.value.message == f"{device}: {device.facts.title} is not installed here"
    assert caught.value.hint == (expected if name in INSTALL else OWN_BUILD)
    assert not runtime.sessions


def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No distribution of ours, and none of ONNX Runtime."""
    monkeypatch.setattr(installing, "installed", dict)
    monkeypatch.setattr(installing, "_distribution", lambda name: None)


@pytest.mark.parametrize(("table", "plugged"), [(OPTIONS, False), (PLUGINS, True)], ids=["built-in", "plugin"])
def test_what_a_provider_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, table: dict[str, dict[str, str]], plugged: bool
) -> None:
    for case, expected in table.items():
        name, precision = case.split()
        device = parse_device(name)
        runtime = installed(monkeypatch, (device, plugged))
        opened(device, precision, cache=tmp_path / "compiled")
        (session,) = runtime.sessions
        # What TensorRT and CoreML keep does not tell sizes apart: each has a folder.
        folder = tmp_path / "compiled" / (digest("[]") if device.fixed else "")
        options = {key: value.replace("FOLDER", str(folder)) for key, value in expected.items()}
        if plugged:
            (taken,) = session.options.devices
            assert (taken.ep_name, session.options.device_options) == (device.facts.ep, options), case
        else:
            assert session.providers == {device.facts.ep: options, CPU_EP: {}}, case
            assert not session.options.devices
        assert session.options.log_severity_level == 4


def test_the_tables_have_every_provider() -> None:
    assert {case.split()[0].split(":")[0] for case in (*OPTIONS, *PLUGINS)} == set(provider_names()) - {"cpu"}


def test_the_cpu_is_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = installed(monkeypatch, (CPU, False), compiled_in=["CUDAExecutionProvider"])
    assert opened(CPU).profile == ""
    (session,) = runtime.sessions
    assert session.providers == {CPU_EP: {}}
    assert session.model == str(GRAPH)
    assert runtime.preloads == 0


def test_nothing_is_compiled_into_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    runtime = installed(monkeypatch, (Device("tensorrt", "0"), False))
    opened(Device("tensorrt", "0"), cache=tmp_path / "file" / "compiled")
    assert "trt_engine_cache_enable" not in runtime.sessions[0].providers["TensorrtExecutionProvider"]


@pytest.mark.parametrize("name", ["cuda:0", "tensorrt:0"])
def test_pips_cuda_is_found_once_and_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    runtime = installed(monkeypatch, (parse_device(name), False))
    opened(parse_device(name))
    opened(parse_device(name))
    assert runtime.preloads == 1
    assert capsys.readouterr().out == ""


@every_way
def test_attention_is_decomposed_for_those_without_a_kernel(monkeypatch: pytest.MonkeyPatch, way: Way) -> None:
    device, _ = way
    runtime = installed(monkeypatch, way)
    opened(device)
    (session,) = runtime.sessions
    beside = session.options.entries.get("session.model_external_initializers_file_folder_path")
    if device.provider in ATTENTION:
        assert (session.model, beside) == (str(GRAPH), None)
    else:
        assert (session.model, beside) == (without_fused_attention(GRAPH), str(GRAPH.parent))


@pytest.mark.parametrize("wrong", [True, False])
@pytest.mark.parametrize("precision", ["fp32", "int8", "int8-static"])
def test_sizes_and_entries_of_the_session(monkeypatch: pytest.MonkeyPatch, wrong: bool, precision: str) -> None:
    runtime = installed(monkeypatch, (CPU, False))
    monkeypatch.setattr(saturation, "saturates", lambda: wrong)
    open_session(GraphFile(GRAPH), "m", Target(precision=precision), CancelToken(), {"batch": 2, "height": 64})
    options = runtime.sessions[0].options
    assert options.sizes == {"batch": 2, "height": 64}
    exact = {"session.x64quantprecision": "1"} if wrong and precision != "fp32" else {}
    assert options.entries == {"session.record_ep_graph_assignment_info": "1", **exact}


def test_what_a_profiler_would_say_is_not_asked_of_the_cpu_and_of_queues(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = set()
    for facts in PROVIDERS:
        way = (parse_device(facts.name), any(wheel.plugin for wheel in facts.wheels) and facts.name != "openvino")
        runtime = installed(monkeypatch, way)
        if opened(way[0]).profile:
            assert runtime.sessions[0].options.enable_profiling
            opening.drop_profile(runtime.sessions[0].options.profile_file_prefix)
            watched.add(facts.name)
    assert watched == {"coreml", "openvino", "qnn", "xnnpack", "acl"}

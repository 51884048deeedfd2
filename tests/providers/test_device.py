"""Devices as users write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import UsageError
from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.device import CPU, Device, parse_device

NAMED = [Device(p.name, unit) for p in PROVIDERS if not p.counted for unit in (p.units or ("",))]
COUNTED = [p.name for p in PROVIDERS if p.counted]
ANY = st.sampled_from(NAMED) | st.builds(
    Device, st.sampled_from(COUNTED), st.integers(min_value=0, max_value=10**6).map(str)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu", CPU),
        (" CPU ", CPU),
        ("cuda", Device("cuda", "0")),
        ("cuda:1", Device("cuda", "1")),
        ("cuda:01", Device("cuda", "1")),
        ("tensorrt:2", Device("tensorrt", "2")),
        ("directml", Device("directml", "0")),
        ("rocm", Device("migraphx", "0")),
        ("rocm:3", Device("migraphx", "3")),
        ("openvino", Device("openvino", "cpu")),
        ("OpenVINO:NPU", Device("openvino", "npu")),
        ("coreml", Device("coreml", "gpu")),
        ("coreml:all", Device("coreml", "all")),
        ("qnn", Device("qnn", "npu")),
        ("qnn:gpu", Device("qnn", "gpu")),
        ("webgpu", Device("webgpu")),
        ("xnnpack", Device("xnnpack")),
    ],
)
def test_what_is_written_names_a_device(text: str, expected: Device) -> None:
    assert parse_device(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("cudda", "there is no execution provider 'cudda'", "did you mean 'cuda'"),
        ("opnevino:gpu", "there is no execution provider 'opnevino'", "did you mean 'openvino'"),
        ("", "there is no execution provider ''", "providers: cpu, cuda"),
        ("openvino:npuu", "openvino has no device 'npuu'", "did you mean 'npu'"),
        ("openvino:", "openvino has no device ''", "devices of openvino: cpu, gpu, npu"),
        ("cuda:gpu", "cuda's devices are numbers", "write cuda:0"),
        ("cuda:", "cuda's devices are numbers", "write cuda:0"),
        ("cuda:-1", "cuda's devices are numbers", "write cuda:0"),
        ("cuda:²", "cuda's devices are numbers", "write cuda:0"),
        ("cuda:" + "1" * 5000, "cuda's devices are numbers", "write cuda:0"),  # more digits than int() takes
        ("cpu:0", "cpu has one device only", "write cpu"),
        ("webgpu:1", "webgpu has one device only", "write webgpu"),
    ],
)
def test_what_names_no_device_is_a_usage_error_with_a_way_out(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_device(text)
    assert message in caught.value.message and caught.value.hint.startswith(hint)


@given(ANY)
def test_a_device_is_found_again_by_what_it_is_shown_as(device: Device) -> None:
    assert parse_device(str(device)) == device


@given(st.text(max_size=20) | st.sampled_from(COUNTED).flatmap(lambda n: st.text(max_size=8).map(lambda t: f"{n}:{t}")))
def test_any_text_is_a_device_or_a_usage_error(text: str) -> None:
    try:
        device = parse_device(text)
    except UsageError as error:
        assert error.hint
    else:
        assert parse_device(str(device)) == device


@given(ANY)
def test_options_choose_the_device_and_are_known_to_its_provider(device: Device) -> None:
    facts = device.facts
    for precision in facts.precisions:
        options = device.options_for(precision)
        assert options.keys() <= facts.keys
        assert options.items() >= device.options.items()
    if facts.unit_option:
        assert device.options[facts.unit_option] == facts.units.get(device.unit, device.unit)


def test_tensorrt_is_told_to_compute_fp16_for_graphs_in_fp16_only() -> None:
    assert parse_device("tensorrt:1").options_for("fp16")["trt_fp16_enable"] == "1"
    assert "trt_fp16_enable" not in parse_device("tensorrt:1").options_for("fp32")


def test_some_devices_need_fixed_sizes() -> None:
    fixed = {str(device) for device in NAMED if device.fixed}
    assert fixed == {"coreml:gpu", "coreml:npu", "coreml:all", "coreml:cpu", "openvino:npu", "qnn:npu", "qnn:gpu"}
    assert [name for name in COUNTED if Device(name, "0").fixed] == ["tensorrt", "migraphx"]

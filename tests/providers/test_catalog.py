"""The catalog of execution providers: that it is consistent, fits our graphs, and recognises what ONNX Runtime says."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest
from onnx_nodes import operators_in

from onnxflow.providers.catalog import CATALOG, PROVIDERS, provider_named, provider_names, title_of
from onnxflow.providers.operators import COMMON
from onnxflow.providers.provider import FOLDER, Provider, Wheel, operators

PRECISIONS = ("fp32", "fp16", "int8", "int8-static")
OURS = re.compile(r"pip install ('onnxflow\[(webgpu|openvino-plugin|qnn)\]'|onnxflow(-(cuda|directml|openvino))?)")
CUSTOM = {"migraphx", "xnnpack", "acl"}
"""In builds of ONNX Runtime that no pip install brings."""
PLATFORMS = {("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "amd64"), ("win32", "arm64")}
DECOMPOSED = operators("Add Cast ConstantOfShape Div MatMul Mul Reshape Shape Softmax Sqrt Transpose Trilu")
"""What may take the place of MultiHeadAttention."""
MISSING = {
    "webgpu": operators("ConstantOfShape"),
    "qnn": operators("ConstantOfShape Trilu"),
    "coreml": operators("ConstantOfShape Cos Equal Expand Gather GatherElements Pad Sin Trilu"),
}
"""Operators of our graphs that stay on the CPU: sizes, and the beginning of a graph."""
HEAVY = {"xnnpack": operators("Conv Gemm MatMul Resize Softmax"), "acl": operators("Conv Gemm MatMul")}
"""Of these a few operators only are taken."""

every = pytest.mark.parametrize("facts", PROVIDERS, ids=provider_names())


def test_names_and_aliases_are_unique() -> None:
    names = [name for facts in PROVIDERS for name in (facts.name, *facts.aliases)]
    assert len(names) == len(set(names)) == len(CATALOG)
    assert len({facts.ep for facts in PROVIDERS}) == len({facts.title for facts in PROVIDERS}) == len(PROVIDERS)
    assert all(re.fullmatch(r"[a-z]+", name) for name in names)


def test_providers_are_found_by_name_alias_and_onnx_runtimes_name() -> None:
    assert provider_named("rocm").name == "migraphx"
    assert title_of("CUDAExecutionProvider") == "cuda"
    assert title_of("AzureExecutionProvider") == "AzureExecutionProvider"


def test_the_cpu_is_there_and_needs_nothing() -> None:
    cpu = provider_named("cpu")
    assert not (cpu.kernels or cpu.fixed or cpu.libraries or cpu.memory)
    assert set(cpu.precisions) == set(PRECISIONS)
    assert {platform for wheel in cpu.wheels for platform in wheel.platforms} == PLATFORMS


@every
def test_every_option_that_we_give_is_a_key(facts: Provider) -> None:
    given = {*facts.options, *facts.cache, *(key for more in facts.variants.values() for key in more)}
    assert given <= facts.keys
    assert not facts.unit_option or facts.unit_option in facts.keys
    assert facts.unit_option not in given
    assert set(facts.variants) <= set(facts.precisions)
    assert not facts.options.keys() & facts.cache.keys()


@every
def test_units_are_named_or_counted(facts: Provider) -> None:
    assert not (facts.units and facts.counted)
    assert bool(facts.unit_option) == bool(facts.units or facts.counted)
    assert facts.hardware.keys() <= (facts.units.keys() or {""})
    assert set(facts.hardware.values()) <= {"CPU", "GPU", "NPU"}
    assert facts.fixed <= {"", *facts.units}
    assert any(wheel.plugin for wheel in facts.wheels) == bool(facts.hardware)


@every
def test_precisions_are_ours(facts: Provider) -> None:
    assert facts.precisions and set(facts.precisions) <= set(PRECISIONS)
    assert len(set(facts.precisions)) == len(facts.precisions)
    if facts.kernels:
        assert "int8" not in facts.precisions or facts.has("com.microsoft:DynamicQuantizeMatMul")
        quantised = facts.has("QuantizeLinear") and facts.has("DequantizeLinear")
        assert "int8-static" not in facts.precisions or quantised or facts.has("QLinearConv")


@every
def test_what_is_compiled_goes_into_the_folder(facts: Provider) -> None:
    assert not facts.cache or FOLDER in facts.cache.values()
    assert all("{" not in value for value in facts.options.values())


@every
def test_wheels_are_installed_by_our_distributions_and_extras(facts: Provider) -> None:
    for wheel in facts.wheels:
        assert OURS.fullmatch(wheel.install) or (facts.name in CUSTOM and not wheel.install), wheel.install
        assert wheel.platforms and set(wheel.platforms) <= PLATFORMS
        assert wheel.distribution.startswith("onnxruntime")
        assert wheel.plugin == ("[" in wheel.install)
    assert facts.wheels or facts.name in CUSTOM


def test_one_plug_in_stands_for_one_provider() -> None:
    modules = [wheel.module for facts in PROVIDERS for wheel in facts.wheels if wheel.plugin]
    assert modules == ["onnxruntime_ep_openvino", "onnxruntime_qnn", "onnxruntime_ep_webgpu"]


@every
def test_facts_cannot_be_changed(facts: Provider) -> None:
    with pytest.raises(AttributeError):
        facts.name = "other"  # type: ignore[misc]
    for mapping in (facts.options, facts.units, facts.cache, facts.variants, facts.hardware):
        assert not hasattr(mapping, "__setitem__")
    assert all(not hasattr(wheel.bad, "__setitem__") for wheel in facts.wheels)


def test_a_wheel_has_no_bad_versions_unless_it_is_said() -> None:
    assert dict(Wheel("onnxruntime", "", ()).bad) == {}


@every
def test_libraries_come_with_a_way_to_get_them(facts: Provider) -> None:
    for library in facts.libraries:
        assert library.name and library.install
        assert library.platform in {platform for wheel in facts.wheels for platform, _ in wheel.platforms}
        assert library.name.endswith(".dll") == (library.platform == "win32")


def test_only_three_providers_besides_the_cpu_have_a_kernel_for_attention() -> None:
    name = "com.microsoft:MultiHeadAttention"
    assert {facts.name for facts in PROVIDERS if facts.has(name)} == {"cpu", "cuda", "directml", "webgpu"}


@every
def test_a_provider_takes_the_operators_of_our_graphs(facts: Provider) -> None:
    needed = _operators_of_our_graphs()
    if not facts.has("com.microsoft:MultiHeadAttention"):
        needed = needed - {"com.microsoft:MultiHeadAttention"} | DECOMPOSED
    if facts.name in HEAVY:
        assert HEAVY[facts.name] <= facts.kernels
    else:
        assert {operator for operator in needed if not facts.has(operator)} == MISSING.get(facts.name, set())


def test_the_common_operators_are_onnxs_own() -> None:
    assert all(re.fullmatch(r"[A-Z]\w+", operator) for operator in COMMON)


def _operators_of_our_graphs() -> frozenset[str]:
    tiny = files("onnxflow.assets") / "tiny"
    found = {
        operator
        for component in tiny.iterdir()
        if (component / "model.onnx").is_file()
        for operator in operators_in((component / "model.onnx").read_bytes())
    }
    assert {"Conv", "com.microsoft:MultiHeadAttention"} <= found
    return frozenset(found - {"Constant"})  # a value, not a computation

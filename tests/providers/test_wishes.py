"""Wishes as they are written: flags, files and profiles."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import UsageError
from onnxflow.placing import placing_of
from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.placement import ANY, EVERY, GROUPS, Wish, by_component, parse_wish, parse_wishes


def test_a_wish_is_a_device_a_variant_or_auto() -> None:
    assert parse_wish(" CUDA@fp16 ", "x") == Wish(Device("cuda", "0"), "fp16", "x")
    assert parse_wish("auto") == ANY and parse_wish("Auto@int8") == Wish(None, "int8")
    assert str(parse_wish("openvino@int8")) == "openvino:cpu@int8"


@pytest.mark.parametrize("text", ["", " ", "cpu@", "@int8", "gpu", "cpu:0", "cuda:x", "openvino:tpu", "auto:0", "a=b"])
def test_what_is_no_wish_says_whose_it_is(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_wish(text, "onnxflow.toml")
    assert caught.value.where == "onnxflow.toml" and caught.value.hint


DEVICES = [
    Device(one.name, unit)
    for one in PROVIDERS
    for unit in (("0", "3") if one.counted else tuple(one.units) or ("",))
]  # fmt: skip
WISHES = st.builds(
    Wish,
    st.sampled_from([None, *DEVICES]),
    st.none() | st.sampled_from(["fp32", "fp16", "int8", "int8-static", "a@b"]),
)


@given(WISHES)
def test_a_wish_is_read_as_it_is_written(wish: Wish) -> None:
    assert parse_wish(str(wish)) == wish


@given(st.dictionaries(st.sampled_from([*GROUPS, EVERY, "7", "12:3"]), WISHES, min_size=1))
def test_wishes_are_read_as_they_are_written(wishes: dict[str, Wish]) -> None:
    text = ",".join(f"{key}={wish}" for key, wish in wishes.items())
    assert {key: str(wish) for key, wish in parse_wishes(text, "x").items()} == {k: str(w) for k, w in wishes.items()}


PIECES = st.sampled_from(["unet", "clip", "*", "=", ",", "@", ":", "cpu", "cuda", "auto", "fp16", "0", " ", "٣", "\0"])


@given(st.text(max_size=30) | st.lists(PIECES, max_size=9).map("".join))
def test_any_text_is_wishes_or_a_usage_error(text: str) -> None:
    try:
        found = by_component(parse_wishes(text, "--place"), "--place", ["7"])
    except UsageError as error:
        assert error.render() and error.hint
    else:
        assert found or "7" in text


def test_one_wish_without_a_key_is_for_all_and_a_key_may_stand_once() -> None:
    assert parse_wishes("cpu", "x") == {EVERY: Wish(CPU, None, "x")}
    with pytest.raises(UsageError, match="placed twice"):
        parse_wishes("unet=cpu,unet=cuda", "x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("clip=cuda:1,text_encoder=cpu", {"text_encoder": "cpu", "text_encoder_2": "cuda:1"}),
        ("text_encoder=cpu,clip=cuda:1", {"text_encoder": "cpu", "text_encoder_2": "cuda:1"}),
        ("vae=cpu,*=auto", {"vae_encoder": "cpu", "vae_decoder": "cpu", EVERY: "auto"}),
        ("vae_decoder=cpu,vae=webgpu", {"vae_encoder": "webgpu", "vae_decoder": "cpu"}),
        ("model=cpu", {"unet": "cpu"}),
        ("7=cpu,unet=cuda:0", {"unet": "cuda:0"}),
    ],
)
def test_a_components_own_name_counts_before_its_groups(text: str, expected: Mapping[str, str]) -> None:
    found = by_component(parse_wishes(text, "x"), "--place", ["7"])
    assert {key: str(wish) for key, wish in found.items()} == expected


def test_an_unknown_key_is_named_with_its_neighbours() -> None:
    with pytest.raises(UsageError, match="no component 'unnet', and no such node") as caught:
        by_component(parse_wishes("unnet=cpu", "--place"), "--place", ["7"])
    assert "did you mean 'unet'" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        by_component(parse_wishes("7=cpu", "x"), "onnxflow.toml")
    assert caught.value.message == "onnxflow.toml: there is no component '7'"


def test_of_several_flags_the_last_counts_whatever_it_calls_the_component() -> None:
    for flags in (["unet=cpu", "model=webgpu"], ["unet=webgpu", "model=cpu", "unet=webgpu"]):
        found = by_component(placing_of(flags, {}).flags, "--place")
        assert {key: str(wish) for key, wish in found.items()} == {"unet": "webgpu"}


@pytest.mark.parametrize("choice", [{"fallback": "yes"}, {"on_nan": "fp32"}, {"fallback": ""}])
def test_choices_that_there_are_not(choice: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        placing_of([], {}, **choice)
    assert caught.value.hint


def test_variants_are_read_in_any_case_and_devices_are_not_forgotten() -> None:
    assert parse_wish("CPU@INT8") == parse_wish("cpu@int8")
    for text in ("@int8", "", " "):
        with pytest.raises(UsageError, match="names no device"):
            parse_wish(text)

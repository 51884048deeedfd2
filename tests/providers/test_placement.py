"""From wishes to placements, on machines that are made up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from fakes import FakeMachine

from onnxflow.errors import ProviderError
from onnxflow.providers.device import Device, parse_device
from onnxflow.providers.machine import Health
from onnxflow.providers.placement import ANY, Placement, Placer, parse_wish
from onnxflow.providers.verdicts import Judged

FAST, SLOW = {"fp32": 900.0, "fp16": 1800.0}, {"fp32": 110.0}


@dataclass(frozen=True)
class Source:
    names: tuple[str, ...] = ("fp32",)
    preferred: str | None = None
    identity: str = "abc"
    name: str = "mine"
    size: int = 1000

    def variants(self, component: str) -> tuple[str, ...]:
        return self.names

    def variant_of(self, component: str) -> str:
        return self.preferred if self.preferred in self.names else self.names[0]

    def parameters(self, component: str, variant: str) -> int:
        return 0

    def weight_bytes(self, component: str, variant: str) -> int:
        return self.size // (4 if variant == "int8" else 1)


@dataclass
class Verdicts:
    """What verify found, by variant and device."""

    wrong: Sequence[tuple[str, str]] = ()
    asked: list[tuple[str, str, str, str]] = field(default_factory=list)

    def __call__(self, identity: str, component: str, variant: str, device: Device) -> Judged | None:
        self.asked.append((identity, component, variant, str(device)))
        return Judged(0.5, 0.01) if (variant, str(device)) in self.wrong else None


def placer(
    *, fallback: bool = False, wrong: Sequence[tuple[str, str]] = (), memory: int | None = None, **devices: Any
) -> Placer:
    return Placer(FakeMachine(**devices), fallback=fallback, verdict=Verdicts(wrong), memory=lambda: memory)


def place(wish: str, source: Source | None = None, **machine: Any) -> Placement:
    return placer(**machine).place(parse_wish(wish, "--place"), source or Source(), "unet")


def where(placement: Placement) -> str:
    return f"{placement.device}@{placement.variant}"


def refused(wish: str, source: Source | None = None, **machine: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        place(wish, source, **machine)
    assert caught.value.exit_code == 3 and caught.value.hint and caught.value.where == "--place"
    return caught.value


# What comes of it: nobody named a device.


def test_auto_takes_the_fastest_and_the_variant_that_suits_it() -> None:
    both = Source(("fp32", "fp16", "int8"))
    assert where(place("auto", both)) == "cpu@fp32"
    assert where(place("auto", both, cuda_0=FAST)) == "cuda:0@fp16"
    assert where(place("auto", both, cuda_0={"fp32": 900.0, "fp16": 950.0}, webgpu=FAST)).startswith("webgpu@")
    found = place("auto", Source(("fp32", "int8")), cuda_0=FAST)
    assert (where(found), found.retreat, found.fallback) == ("cuda:0@fp32", True, False)


def test_auto_needs_to_be_clearly_faster_than_the_cpu() -> None:
    assert where(place("auto", cuda_0=SLOW)) == "cpu@fp32"
    assert where(place("auto", cuda_0={"fp32": 126.0})) == "cuda:0@fp32"
    assert where(place("auto", cuda_0={})) == "cpu@fp32", "nobody measured it"


def test_auto_leaves_out_what_does_not_work_or_computes_wrong() -> None:
    assert where(place("auto", cuda_0="it is broken")) == "cpu@fp32"
    assert where(place("auto", cuda_0=FAST, webgpu={"fp32": 200.0}, wrong=[("fp32", "cuda:0")])) == "webgpu@fp32"
    half = Source(("fp32", "fp16"))
    assert where(place("auto", half, cuda_0=FAST, wrong=[("fp16", "cuda:0")])) == "cuda:0@fp32"
    assert where(place("auto", half, cuda_0=FAST, wrong=[("fp16", "cuda:0"), ("fp32", "cuda:0")])) == "cpu@fp32"


def test_without_a_right_trial_in_fp16_fp32_is_taken_unless_fp16_was_asked_for() -> None:
    half, speeds = Source(("fp32", "fp16")), {"fp32": 900.0}
    assert where(place("auto", half, cuda_0=speeds)) == "cuda:0@fp32"
    assert where(place("cuda", half, cuda_0=speeds)) == "cuda:0@fp32"
    assert where(place("cuda@fp16", half, cuda_0=speeds)) == "cuda:0@fp16"
    assert where(place("cuda", Source(("fp32", "fp16"), "fp16"), cuda_0=speeds)) == "cuda:0@fp16"


def test_a_variant_that_was_asked_for_stays_and_chooses_the_device() -> None:
    source = Source(("fp32", "fp16", "int8"), preferred="int8")
    takes = "int8" in parse_device("cuda").facts.precisions
    assert where(place("auto", source, cuda_0=FAST)) == ("cuda:0@int8" if takes else "cpu@int8")
    assert where(place("auto", source, openvino_cpu=FAST)) == "cpu@int8", "OpenVINO does not take int8"
    assert where(place("auto@fp16", source, cuda_0=FAST)) == "cuda:0@fp16"
    assert where(place("auto", Source(("fp32",), preferred="int8"))) == "cpu@fp32", "another component has it"


def test_on_the_cpu_int8_where_the_default_does_not_fit_into_the_memory() -> None:
    gb = 10**9
    both = Source(("fp32", "int8"), size=10 * gb)
    found = place("auto", both, memory=13 * gb - 1)
    assert where(found) == "cpu@int8"
    assert found.note == "int8, for fp32 takes 13.0 GB of memory, and the machine has 13.0 GB"
    assert where(place("cpu", both, memory=12 * gb)) == "cpu@int8"
    for kept in (
        place("auto", both, memory=13 * gb), place("auto", both, memory=None), place("cpu@fp32", both, memory=1),
        place("auto", Source(("fp32",)), memory=1), place("auto", Source(("fp32", "int8"), "fp32"), memory=1),
    ):  # fmt: skip
        assert where(kept) == "cpu@fp32" and not kept.note


def health(name: str, speed: Mapping[str, float], **more: Any) -> Health:
    return Health(parse_device(name), True, speed=speed, **more)


NO_HALF = {"fp16": ("the GPU lacks shader-f16", "use the model in fp32")}


def test_auto_judges_a_device_by_the_precision_that_was_measured() -> None:
    static = Source(("int8-static", "fp32"), preferred="int8-static")
    assert where(place("auto", static, qnn_npu={"fp16": 5000.0})) == "qnn:npu@int8-static"
    assert where(place("auto", static, qnn_npu={"fp16": 120.0})) == "cpu@int8-static"
    assert where(place("auto", static, qnn_npu={"fp16": 5000.0}, openvino_cpu=FAST)) == "qnn:npu@int8-static"
    assert where(place("auto", Source(("fp32", "fp16")), qnn_npu={"fp16": 500.0})) == "qnn:npu@fp16"


def test_auto_leaves_out_a_precision_whose_trial_failed_also_when_it_was_asked_for() -> None:
    half, machine = Source(("fp32", "fp16")), {"webgpu": health("webgpu", {"fp32": 900.0}, failed=NO_HALF)}
    assert where(place("auto", half, **machine)) == "webgpu@fp32"
    assert where(place("auto@fp16", half, **machine)) == "cpu@fp16"


def test_auto_leaves_out_a_device_that_takes_part_of_a_graph_unless_it_may() -> None:
    machine = {"xnnpack": health("xnnpack", {"fp32": 900.0}, partial="took 6 of 9 heavy nodes")}
    assert where(place("auto", **machine)) == "cpu@fp32"
    assert where(place("auto", fallback=True, **machine)) == "xnnpack@fp32"
    assert where(place("xnnpack", **machine)) == "xnnpack@fp32", "loading it says what it leaves"


# Somebody named one.


def test_a_precision_whose_trial_failed_is_refused_with_its_words() -> None:
    machine = {"webgpu": health("webgpu", {"fp32": 900.0}, failed=NO_HALF)}
    half, only_half = Source(("fp32", "fp16")), Source(("fp16",))
    for wish, source in (("webgpu@fp16", half), ("webgpu", Source(("fp32", "fp16"), "fp16")), ("webgpu", only_half)):
        error = refused(wish, source, **machine)
        assert error.message == "webgpu cannot be used in fp16: the GPU lacks shader-f16"
        assert error.hint == "use the model in fp32"
    with pytest.raises(ProviderError, match="in fp16: the GPU lacks"):
        placer(**machine).check(parse_wish("webgpu@fp16"))
    placer(**machine).check(parse_wish("webgpu@fp32"))
    assert where(place("webgpu", half, **machine)) == "webgpu@fp32"
    found = place("webgpu@fp16", half, fallback=True, **machine)
    assert where(found) == "cpu@fp16" and "in fp16: the GPU lacks" in found.note


def test_nobody_is_refused_for_a_failure_that_is_only_remembered() -> None:
    webgpu = parse_device("webgpu")
    half = Source(("fp32", "fp16"))
    for before in ("no driver", health("webgpu", {"fp32": 900.0}, failed=NO_HALF)):
        for act in (
            lambda placed: placed.place(parse_wish("webgpu@fp16"), half, "unet"),
            lambda placed: placed.check(parse_wish("webgpu@fp16")),
        ):
            machine = FakeMachine(webgpu=before)
            machine.mended[webgpu] = health("webgpu", FAST)
            act(Placer(machine, verdict=Verdicts(), memory=lambda: None))
            assert machine.health(webgpu).speed == FAST
    machine = FakeMachine(webgpu=health("webgpu", {"fp32": 900.0}, failed=NO_HALF))
    machine.mended[webgpu] = health("webgpu", FAST)
    found = Placer(machine, verdict=Verdicts(), memory=lambda: None).place(parse_wish("webgpu"), half, "unet")
    assert where(found) == "webgpu@fp32", "what works is not tried again at each run"


def test_a_device_that_was_named_is_taken_however_slow() -> None:
    found = place("cuda", cuda_0=SLOW)
    assert (where(found), found.asked, found.note) == ("cuda:0@fp32", "cuda:0 (--place)", "")
    assert not found.retreat and not found.fallback, "what it does not take is an error"
    assert placer().place(ANY, Source(), "unet").asked == "auto"


def test_the_cpu_is_not_tried() -> None:
    machine = FakeMachine()
    placed = Placer(machine, verdict=Verdicts(), memory=lambda: None)
    found = placed.place(parse_wish("cpu@int8"), Source(("fp32", "int8")), "unet")
    assert where(found) == "cpu@int8" and machine.asked == []


def test_a_device_that_does_not_work_is_refused_with_its_cure() -> None:
    error = refused("webgpu", cuda_0=FAST)
    assert error.message == "webgpu cannot be used: webgpu is not installed" and error.hint == "install webgpu"
    assert refused("cuda", cuda_0="its driver is too old").hint == "mend cuda:0"
    check = placer(cuda_0="its driver is too old").check
    with pytest.raises(ProviderError, match="driver is too old"):
        check(parse_wish("cuda", "--place"))
    for fine in ("cpu", "auto", "auto@fp16"):
        check(parse_wish(fine))
    placer(fallback=True).check(parse_wish("cuda"))


def test_a_device_that_computes_wrong_is_refused_with_the_error() -> None:
    error = refused("cuda", cuda_0=FAST, wrong=[("fp32", "cuda:0")])
    assert "computes the unet of mine in fp32 wrong: 5.0e-01 from PyTorch, 1e-02 is allowed" in error.message
    assert error.hint == "another device, as in unet=cpu"
    half = Source(("fp32", "fp16"))
    assert where(place("cuda", half, cuda_0=FAST, wrong=[("fp16", "cuda:0")])) == "cuda:0@fp32"
    assert "in fp16 wrong" in refused("cuda@fp16", half, cuda_0=FAST, wrong=[("fp16", "cuda:0")]).message


def test_a_variant_that_the_device_does_not_take_is_refused() -> None:
    source = Source(("fp32", "int8"))
    for wish, asked in (("openvino@int8", source), ("openvino", Source(("fp32", "int8"), "int8"))):
        error = refused(wish, asked, openvino_cpu=FAST)
        assert "openvino:cpu takes fp32, fp16, int8-static" in error.message
        assert "wanted in int8 (it has fp32, int8)" in error.message
    assert "is wanted in int8 (it has int8)" in refused("openvino", Source(("int8",)), openvino_cpu=FAST).message


def test_a_variant_that_the_model_has_not_is_refused() -> None:
    for wish in ("cpu@int4", "cuda@int4", "auto@int4"):
        error = refused(wish, Source(("fp32", "int8")), cuda_0=FAST)
        assert "has no variant 'int4'" in error.message and "int8" in error.hint
    with pytest.raises(ProviderError):
        place("cpu@int4", fallback=True)


def test_fallback_goes_to_the_cpu_and_says_why() -> None:
    for machine, why in (
        ({}, "cuda:0 cannot be used: cuda:0 is not installed"),
        ({"cuda_0": "it is broken"}, "cuda:0 cannot be used: it is broken"),
        ({"cuda_0": FAST, "wrong": [("fp32", "cuda:0")]}, "computes the unet of mine in fp32 wrong"),
    ):
        found = place("cuda", fallback=True, **machine)
        assert where(found) == "cpu@fp32" and found.asked == "cuda:0 (--place)" and why in found.note
    found = place("openvino@int8", Source(("fp32", "int8")), fallback=True, openvino_cpu=FAST)
    assert where(found) == "cpu@int8" and "openvino:cpu takes" in found.note
    found = place("cuda", fallback=True, cuda_0=FAST)
    assert (where(found), found.note, found.fallback) == ("cuda:0@fp32", "", True)


def test_the_cpu_needs_no_fallback() -> None:
    assert place("cpu", fallback=True).note == "" and place("auto", fallback=True).note == ""


def test_auto_does_not_try_again_what_a_device_had_no_memory_for() -> None:
    asked: list[tuple[str, str, str, str]] = []

    def too_large(identity: str, component: str, variant: str, device: Device) -> bool:
        asked.append((identity, component, variant, str(device)))
        return True

    machine = FakeMachine(cuda_0=FAST)
    placed = Placer(machine, verdict=Verdicts(), memory=lambda: None, too_large=too_large)
    assert placed.place(ANY, Source(), "unet").device == Device("cpu")
    assert asked == [("abc", "unet", "fp32", "cuda:0")]
    assert placed.place(parse_wish("cuda"), Source(), "unet").device == Device("cuda", "0"), "a named one is tried"


def test_int8_that_does_not_fit_either_is_not_taken() -> None:
    gb = 10**9
    both = Source(("fp32", "int8"), size=10 * gb)
    assert placer(memory=3 * gb).place(ANY, both, "unet").variant == "fp32"
    assert placer(memory=4 * gb).place(ANY, both, "unet").variant == "int8"

"""The trial itself: what counts as right, as failed, and as fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import pytest

from onnxflow.errors import MemoryLimitError, ProviderError
from onnxflow.providers import trial
from onnxflow.providers.assignment import Assignment
from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.device import CPU, Device, parse_device
from onnxflow.providers.opening import check_assignment
from onnxflow.providers.trial import FIXED, SIZES, Trial, difference, operations, try_device

WEBGPU = Device("webgpu")


class FakeGraph:
    """A graph of one device and precision: right in as far as it is told to be, and as slow."""

    wrong: ClassVar[dict[str, float]] = {}
    fails: ClassVar[dict[str, Exception]] = {}
    right_when_split: ClassVar[bool] = False
    too_large: ClassVar[int] = 10**9
    calls: ClassVar[list[tuple[str, tuple[int, ...]]]] = []
    loads: ClassVar[list[tuple[str, bool, object]]] = []
    took: ClassVar[Mapping[str, int]] = {}

    def __init__(self, file: object, name: str, cancel: object, target: object, sizes: object = None) -> None:
        self.device = str(target.device)  # type: ignore[attr-defined]
        self.precision = name.split()[-1]
        self.sizes = sizes
        self.split = target.split  # type: ignore[attr-defined]
        if self.device != "cpu" and self.precision in self.fails:
            raise self.fails[self.precision]
        self.loads.append((self.device, target.fallback, sizes))  # type: ignore[attr-defined]
        if self.took and self.device != "cpu" and not target.fallback:  # type: ignore[attr-defined]
            counts = [(self.device, "Conv", self.took.get("Conv", 0)), ("cpu", "Softmax", 3)]
            device = target.device  # type: ignore[attr-defined]
            here = [(device.facts.ep if name == self.device else CPU.facts.ep, op, n) for name, op, n in counts if n]
            check_assignment(Assignment(tuple(here)), device, name)

    def run(self, feeds: dict[str, np.ndarray], cancel: object) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
        picture = feeds["x"]
        if self.device == "cpu":
            return {"y": picture}
        self.calls.append((self.precision, picture.shape))
        if picture.size > self.too_large:
            raise MemoryLimitError("not enough memory to run it")
        right = self.split and self.right_when_split
        return {"y": picture * (1 + (0.0 if right else self.wrong.get(self.precision, 0.0)))}

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("wrong", {}), ("right_when_split", False), ("fails", {}), ("too_large", 10**9), ("calls", []),
                        ("loads", []), ("took", {})):  # fmt: skip
        monkeypatch.setattr(FakeGraph, name, value)
    monkeypatch.setattr(trial, "OrtGraph", FakeGraph)


def test_a_fast_device_is_timed_with_every_size() -> None:
    found = try_device(WEBGPU)
    assert found.failed == {} and set(found.speed) == {"fp32", "fp16"}
    shapes = {shape for precision, shape in FakeGraph.calls if precision == "fp32"}
    assert shapes == {(batch, 4, size, size) for batch, size in SIZES}
    assert found.told()["works"] is True


def test_a_slow_device_is_timed_with_the_smallest_size_only(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(trial.time, "perf_counter", lambda: float(next(clock)))
    found = try_device(WEBGPU)
    assert {shape for _, shape in FakeGraph.calls} == {(1, 4, 32, 32)}
    assert len(FakeGraph.calls) == 2 * 3  # to compare, to warm up, to time
    assert found.speed["fp32"] == round(operations(1, 32) / 1e9, 3)


def test_half_precision_that_fails_is_missing_and_nothing_more() -> None:
    FakeGraph.fails = {"fp16": ProviderError("webgpu: no shader-f16", hint="x")}
    found = try_device(WEBGPU)
    speed = {"fp32": found.speed["fp32"]}
    told = {"works": True, "problem": "", "cure": "", "speed": speed, "split": False, "partial": "", "left": []}
    assert found.told() == {**told, "failed": {"fp16": ["no shader-f16", "x"]}}
    assert found.failed == {"fp16": ("no shader-f16", "x")}


def test_wrong_numbers_are_a_failure() -> None:
    FakeGraph.wrong = {"fp32": 0.5, "fp16": float("nan")}
    told = try_device(WEBGPU).told()
    assert told["works"] is False and told["cure"]
    assert told["problem"] == "it computes wrong in fp32: 5.0e-01 from the CPU, 1e-02 is allowed"


def test_attention_that_a_device_computes_wrong_is_split() -> None:
    FakeGraph.wrong, FakeGraph.right_when_split = {"fp32": 0.05, "fp16": 0.05}, True
    told = try_device(WEBGPU).told()
    assert told["works"] is True and told["split"] is True and set(told["speed"]) == {"fp32", "fp16"}
    # OpenVINO has no kernel for it: there is nothing to try again.
    told = try_device(Device("openvino", "cpu")).told()
    assert told["works"] is False and told["split"] is False


def test_the_rounding_of_half_precision_is_right() -> None:
    FakeGraph.wrong = {"fp32": 0.002, "fp16": 0.01}
    assert try_device(WEBGPU).failed == {}


def test_a_size_that_does_not_fit_ends_the_timing() -> None:
    FakeGraph.too_large = 4 * 64 * 64
    found = try_device(WEBGPU)
    assert found.failed == {} and found.speed["fp32"] > 0


def test_an_error_that_nobody_foresaw_is_told() -> None:
    FakeGraph.fails = {"fp32": RuntimeError("vkCreateDevice\nmore"), "fp16": RuntimeError()}
    told = try_device(WEBGPU).told()
    assert told["works"] is False and told["problem"] == "RuntimeError: vkCreateDevice"


def test_difference_is_a_share_of_the_norm() -> None:
    right = np.array([3.0, 4.0], np.float32)
    assert difference(right, right) == 0
    assert difference(np.array([3.0, 9.0], np.float32), right) == 1
    assert not difference(np.array([np.nan, 4.0], np.float32), right) <= 1


def test_a_device_of_half_precision_only_is_judged_by_that() -> None:
    assert Trial({"fp16": 1.0}).told()["works"] is True
    told = Trial({}, {"fp16": ("no", "x")}).told()
    assert (told["works"], told["problem"], told["cure"], told["failed"]) == (False, "no", "x", {"fp16": ["no", "x"]})
    assert CPU.facts.name == "cpu"


def test_a_device_that_compiles_each_size_is_tried_with_one() -> None:
    for name in ("tensorrt", "coreml", "qnn"):
        FakeGraph.calls, FakeGraph.loads = [], []
        device = parse_device(name)
        assert try_device(device).told()["works"] is True
        loads = [sizes for where, _, sizes in FakeGraph.loads if where == str(device)]
        batch, size = FIXED
        assert loads == [{"batch": batch, "height": size, "width": size}] * len(
            {"fp16", "fp32"} & set(device.facts.precisions)
        )
        assert {shape for _, shape in FakeGraph.calls} == {(batch, 4, size, size)}


def test_what_is_known_is_told_after_each_precision() -> None:
    heard: list[Trial] = []
    FakeGraph.fails = {"fp16": ProviderError("no", hint="x")}
    try_device(WEBGPU, heard.append)
    assert [(set(one.speed), set(one.failed), one.left) for one in heard] == [
        ({"fp32"}, set(), ("fp16",)),
        ({"fp32"}, {"fp16"}, ()),
    ]
    assert heard[0].told()["works"] is True and heard[0].told()["left"] == ["fp16"]


@pytest.mark.parametrize("name", ["xnnpack", "acl"])
def test_a_provider_of_few_kernels_works_when_it_takes_part_of_the_network(name: str) -> None:
    FakeGraph.took = {"Conv": 6}
    found = try_device(Device(name))
    assert found.failed == {} and found.speed["fp32"] > 0
    assert found.told()["partial"] == "took 6 of 9 heavy nodes; 3 Softmax would run elsewhere (cpu)"
    assert (name, True, None) in FakeGraph.loads
    FakeGraph.took = {"Conv": 0}
    told = try_device(Device(name)).told()
    assert told["works"] is False and told["problem"].startswith("took none of its 3 heavy nodes")


def test_a_provider_with_kernels_for_all_of_the_network_must_take_it_all() -> None:
    FakeGraph.took = {"Conv": 6}
    told = try_device(WEBGPU).told()
    assert told["works"] is False and "took 6 of 9 heavy nodes" in told["problem"] and told["partial"] == ""
    assert {where for where, *_ in FakeGraph.loads} == {"cpu", "webgpu"}
    assert not any(fallback for _, fallback, _ in FakeGraph.loads)


def test_only_builds_of_ones_own_may_take_part_of_the_network() -> None:
    assert {one.name for one in PROVIDERS if not all(map(one.has, trial._HEAVY))} == {"xnnpack", "acl"}

"""The diagnosis, case by case, of machines that are not here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from onnxflow.providers import doctor, examine
from onnxflow.providers.catalog import provider_named
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.doctor import Examined, Finding, Folder, findings
from onnxflow.providers.host import Host
from onnxflow.providers.machine import Health
from onnxflow.providers.offer import Offer
from onnxflow.providers.probe import Listing
from onnxflow.providers.provider import Library, Provider, Wheel

HOST = Host("linux", "x86_64", 64, "", "glibc 2.36", (3, 12, 1), False, "AMD EPYC", 8, 16_000_000_000)
WELL = Examined(HOST, {"onnxruntime": "1.31.1"}, Listing(), (Health(CPU, True, "", "", {"fp32": 40.0}),))
NO_RUNTIME = Listing((), "onnxruntime is not installed", "pip install onnxflow")
WEBGPU = Device("webgpu")


def problems(seen: Examined) -> list[Finding]:
    return [finding for finding in findings(seen) if finding.severity == "problem"]


def only_problem(seen: Examined) -> Finding:
    (found,) = problems(seen)
    assert found.cure, "a problem without a command"
    return found


def notes(seen: Examined) -> list[Finding]:
    return [finding for finding in findings(seen) if finding.severity == "note"]


def test_a_machine_that_is_well() -> None:
    assert [(finding.severity, finding.what, finding.why) for finding in findings(WELL)] == [
        ("ok", "system", "linux x86_64, glibc 2.36, AMD EPYC, 8 cores, 16.0 GB of memory"),
        ("ok", "Python", "3.12.1"),
        ("ok", "onnxruntime", "1.31.1"),
        ("ok", "cpu", "works: fp32 40 GFLOP/s"),
    ]


def test_two_wheels_that_overwrite_each_other() -> None:
    found = only_problem(replace(WELL, wheels={"onnxruntime": "1.31.1", "onnxruntime-openvino": "1.24.1"}))
    assert "onnxruntime 1.31.1 and onnxruntime-openvino 1.24.1 are installed" in found.why
    assert found.cure == (
        "pip uninstall -y onnxruntime onnxruntime-openvino && pip install onnxruntime-openvino==1.24.1"
    )
    found = only_problem(
        replace(WELL, wheels={"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.24.1"}, listing=NO_RUNTIME)
    )
    assert found.cure.startswith("pip uninstall -y onnxruntime onnxruntime-gpu && ")


def test_a_wheel_that_is_too_old_is_replaced_by_a_new_one() -> None:
    found = only_problem(replace(WELL, wheels={"onnxruntime": "1.23.9"}))
    assert found.why == "1.23.9 is too old: 1.24 or newer is needed"
    assert found.cure == "pip install -U 'onnxruntime>=1.24'"
    both = problems(replace(WELL, wheels={"onnxruntime": "1.31.1", "onnxruntime-openvino": "1.20.0"}))
    assert both[0].cure.endswith("pip install onnxruntime-openvino")


def test_a_version_that_is_known_to_be_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = Wheel("onnxruntime", "pip install onnxflow", (("linux", "x86_64"),), bad={"1.31.1": "it forgets"})
    cpu = replace(provider_named("cpu"), wheels=(wheel,))
    monkeypatch.setattr(doctor, "PROVIDERS", (cpu,))
    found = only_problem(WELL)
    assert found.why == "1.31.1 is known to be bad: it forgets"
    assert found.cure == "pip install -U 'onnxruntime!=1.31.1'"


@pytest.mark.parametrize(
    ("changes", "why", "cure"),
    [
        (
            {"bits": 32, "machine": "armv7l", "board": "Raspberry Pi 4 Model B"},
            "32-bit Python",
            "Raspberry Pi OS (64-bit)",
        ),
        ({"bits": 32, "machine": "aarch64", "board": "Raspberry Pi 5"}, "32-bit Python", "Raspberry Pi OS (64-bit)"),
        ({"bits": 32, "machine": "i686"}, "32-bit Python on i686", "a 64-bit system and Python"),
        ({"machine": "riscv64"}, "no wheel of onnxruntime for the processor riscv64", "a 64-bit system"),
        ({"libc": "musl 1.2.4"}, "musl 1.2.4: wheels of onnxruntime need glibc", "glibc"),
    ],
)
def test_systems_without_an_onnxruntime(changes: dict[str, Any], why: str, cure: str) -> None:
    found = problems(Examined(replace(HOST, **changes), {}, NO_RUNTIME))
    assert found[0].what == "system" and why in found[0].why and cure in found[0].cure


@pytest.mark.parametrize(
    ("changes", "why", "cure"),
    [
        ({"free_threaded": True}, "free-threaded", "the usual Python"),
        ({"python": (3, 99, 0)}, "3.99.0: onnxruntime is missing, and may have no wheel yet", "with Python 3."),
    ],
)
def test_a_python_without_a_wheel(changes: dict[str, Any], why: str, cure: str) -> None:
    host = replace(HOST, **changes)
    python, runtime = problems(Examined(host, {}, NO_RUNTIME))
    assert python.what == "Python" and why in python.why and cure in python.cure
    assert runtime.why == "onnxruntime is not installed"
    assert problems(replace(WELL, host=host)) == []


def test_no_onnxruntime_at_all() -> None:
    found = only_problem(Examined(HOST, {}, NO_RUNTIME))
    assert (found.what, found.why, found.cure) == (
        "onnxruntime",
        "onnxruntime is not installed",
        "pip install onnxflow",
    )


def test_an_onnxruntime_that_does_not_import() -> None:
    broken = Listing((), "the library libgomp.so.1 is missing", "sudo apt-get install libgomp1")
    found = only_problem(Examined(HOST, {"onnxruntime": "1.31.1"}, broken))
    assert (found.what, found.cure) == ("onnxruntime", "sudo apt-get install libgomp1")
    assert "onnxruntime" not in [
        finding.what for finding in findings(replace(WELL, listing=broken)) if finding.severity == "ok"
    ]


def test_a_build_of_ones_own() -> None:
    found = findings(replace(WELL, wheels={}))
    assert ("ok", "a build of one's own: it imports, and no wheel is installed") in [(f.severity, f.why) for f in found]


def test_a_missing_library_of_the_system_is_the_cure_of_its_provider() -> None:
    library = Library("libvulkan.so.1", "linux", "sudo apt-get install libvulkan1")
    seen = replace(
        WELL,
        wheels={**WELL.wheels, "onnxruntime-ep-webgpu": "0.4.0"},
        listing=Listing((Offer(WEBGPU, "", "it finds no GPU here", "x"),)),
        missing={"webgpu": (library,)},
    )
    found = only_problem(seen)
    assert (found.what, found.cure) == ("webgpu", "sudo apt-get install libvulkan1")
    assert found.why == "it finds no GPU here; libvulkan.so.1 is missing"


def test_a_plug_in_without_a_card() -> None:
    seen = replace(
        WELL,
        wheels={**WELL.wheels, "onnxruntime-ep-webgpu": "0.4.0"},
        listing=Listing((Offer(WEBGPU, "", "it finds no GPU here", "run on the CPU; see onnxflow doctor"),)),
    )
    found = only_problem(seen)
    assert "/sys/class/drm" in found.why and found.cure == "pip uninstall -y onnxruntime-ep-webgpu"
    found = only_problem(replace(seen, host=replace(HOST, gpus=("AMD",))))
    assert found.cure == "run on the CPU"


def test_a_plug_in_that_does_not_fit_its_onnxruntime() -> None:
    bad = Offer(WEBGPU, "", "cannot be loaded: The requested API version [27] is not available", "onnxflow doctor")
    seen = replace(WELL, wheels={**WELL.wheels, "onnxruntime-ep-webgpu": "0.9"}, listing=Listing((bad,)))
    found = only_problem(seen)
    assert found.why.startswith("onnxruntime-ep-webgpu and onnxruntime do not fit together")
    assert found.cure == "pip install -U onnxruntime onnxruntime-ep-webgpu"


def test_each_device_is_told() -> None:
    crashed = Health(Device("cuda", "0"), False, "its driver or library crashed (SIGSEGV)", "update its driver")
    found = only_problem(replace(WELL, healths=(*WELL.healths, crashed)))
    assert (found.what, found.why, found.cure) == ("cuda:0", crashed.problem, crashed.cure)
    illegal = Health(CPU, False, "illegal instruction", "pip install 'onnxruntime<1.31.1'")
    assert only_problem(replace(WELL, healths=(illegal,))).cure == "pip install 'onnxruntime<1.31.1'"


def test_hardware_that_a_machine_may_lack_is_no_problem() -> None:
    offers = (Offer(Device("openvino", "cpu")), Offer(Device("openvino", "npu"), "", "there is no NPU", "x"))
    healths = (*WELL.healths, Health(Device("openvino", "cpu"), True))
    seen = replace(WELL, listing=Listing(offers), healths=healths)
    assert problems(seen) == []
    assert [(note.what, note.why) for note in notes(seen)] == [("openvino:npu", "there is no NPU")]


def test_a_provider_in_the_wheel_of_one_that_works_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = provider_named("cuda")
    tensorrt = replace(provider_named("tensorrt"), wheels=cuda.wheels)
    monkeypatch.setattr(
        "onnxflow.providers.device.provider_named",
        {"tensorrt": tensorrt, "cuda": cuda, "cpu": provider_named("cpu")}.get,
    )
    failed = Health(Device("tensorrt", "0"), False, "the library libnvinfer.so.10 is missing", "x")
    seen = replace(WELL, healths=(*WELL.healths, Health(Device("cuda", "0"), True), failed))
    assert problems(seen) == [] and [note.what for note in notes(seen)] == ["tensorrt:0"]
    assert [one.what for one in problems(replace(WELL, healths=(*WELL.healths, failed)))] == ["tensorrt:0"]


def test_a_unit_beside_one_that_works_is_no_problem() -> None:
    failed = Health(Device("coreml", "npu"), False, "Core ML could not compile this graph for this Mac", "x")
    seen = replace(WELL, healths=(*WELL.healths, Health(Device("coreml", "gpu"), True), failed))
    assert problems(seen) == [] and [note.what for note in notes(seen)] == ["coreml:npu"]
    assert [one.what for one in problems(replace(WELL, healths=(*WELL.healths, failed)))] == ["coreml:npu"]


def test_what_a_device_that_works_does_not_do_is_a_note() -> None:
    half = Health(WEBGPU, True, speed={"fp32": 90.0}, failed={"fp16": ("the GPU lacks shader-f16", "use fp32")})
    part = Health(Device("xnnpack"), True, speed={"fp32": 90.0}, partial="took 6 of 9 heavy nodes")
    seen = replace(WELL, healths=(*WELL.healths, half, part))
    assert problems(seen) == []
    assert [(note.what, note.why, note.cure) for note in notes(seen)] == [
        ("webgpu", "fp16: the GPU lacks shader-f16", "use fp32"),
        (
            "xnnpack",
            "it takes part of a graph only: took 6 of 9 heavy nodes",
            "--fallback allow lets the CPU do the rest",
        ),
    ]


def test_folders_that_cannot_be_written() -> None:
    cache = Folder("cache", Path("/cache"), False, "set ONNXFLOW_CACHE")
    models = Folder("models", Path("/models"), False, needed=False)
    seen = replace(WELL, folders=(cache, models, Folder("output", Path("/output"), True)))
    assert only_problem(seen).cure == "set ONNXFLOW_CACHE"
    assert [note.what for note in notes(seen)] == ["models"]


def test_cards_that_nothing_installed_uses_are_a_hint() -> None:
    commands = {"onnxruntime-gpu": "pip uninstall -y onnxruntime && pip install onnxflow-cuda"}
    seen = replace(WELL, host=replace(HOST, gpus=("NVIDIA",)), commands=commands)
    assert problems(seen) == []
    (note,) = notes(seen)
    assert note.what == "NVIDIA GPU"
    assert note.cure == "pip uninstall -y onnxruntime && pip install onnxflow-cuda"
    assert notes(replace(seen, wheels={"onnxruntime-gpu": "1.31.1"})) == []
    (note,) = notes(replace(WELL, host=replace(HOST, gpus=("AMD",))))
    assert note.cure == "pip install 'onnxflow[webgpu]'"
    (note,) = notes(replace(WELL, host=replace(HOST, gpus=("NVIDIA",), machine="aarch64")))
    assert note.cure == "pip install 'onnxflow[webgpu]'"
    assert notes(replace(WELL, host=replace(HOST, gpus=("AMD",), machine="riscv64"))) == []


def test_examining_tries_every_device_that_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXFLOW_CACHE", str(tmp_path / "cache"))
    offers = (Offer(Device("cuda", "0")), Offer(WEBGPU, "", "no GPU"))

    class Machine:
        def listing(self) -> Listing:
            return Listing(offers)

        def measured(self, device: Device) -> Health:
            return Health(device, True)

        def missing(self, facts: Provider) -> tuple[Library, ...]:
            return facts.libraries[:1]

    seen = examine.examine(Machine(), [Folder("output", tmp_path, True)])  # type: ignore[arg-type]
    assert [str(health.device) for health in seen.healths] == ["cpu", "cuda:0"]
    assert [folder.what for folder in seen.folders] == ["cache", "output"]
    assert [one.name for one in seen.missing["webgpu"]] == ["libvulkan.so.1"]
    assert seen.missing.keys() == {"webgpu"}, "only of those that failed"
    assert seen.host.cores >= 1 and seen.wheels


def test_writable_leaves_nothing_behind(tmp_path: Path) -> None:
    assert examine.writable(tmp_path / "not" / "there")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    assert not examine.writable(tmp_path / "file" / "below")

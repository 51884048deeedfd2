"""Trying devices: a real CPU in a real child, and children that are scripts."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from probe_script import CUDA, WORKS, Script

from onnxflow.providers import probe, probe_child
from onnxflow.providers.cache_folder import recall
from onnxflow.providers.catalog import PROVIDERS, provider_named
from onnxflow.providers.device import CPU, Device, parse_device
from onnxflow.providers.machine import Health
from onnxflow.providers.probe import ProbedMachine, only_cpu
from onnxflow.providers.probe_child import MARK, answer_in
from onnxflow.providers.wheels import installed


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXFLOW_CACHE", str(tmp_path / "cache"))


def test_the_cpu_is_tried_for_real_and_remembered() -> None:
    found = ProbedMachine().measured(CPU)
    assert found.works, found.problem
    assert found.speed["fp32"] > 0.1 and found.speed["fp16"] > 0.01
    assert ProbedMachine(command=("/nowhere",)).measured(CPU) == found


def test_a_device_that_is_not_installed_says_what_brings_it() -> None:
    facts = next(one for one in PROVIDERS if not any(wheel.distribution in installed() for wheel in one.wheels))
    found = ProbedMachine().health(parse_device(facts.name))
    assert not found.works
    assert found.problem == f"{facts.title} is not installed here"
    assert found.cure


def test_the_child_lists_what_is_installed() -> None:
    done = subprocess.run([*probe.COMMAND, "devices"], capture_output=True, text=True, check=True)
    told = answer_in(done.stdout)
    assert told is not None and isinstance(told["offers"], list) and told["version"]


def test_the_child_says_what_it_knows_after_each_precision() -> None:
    done = subprocess.run([*probe.COMMAND, "cpu"], capture_output=True, text=True, check=True)
    said = [json.loads(line.removeprefix(MARK)) for line in done.stdout.splitlines() if line.startswith(MARK)]
    assert [(set(one["speed"]), one["left"]) for one in said] == [
        ({"fp32"}, ["fp16"]),
        ({"fp32", "fp16"}, []),
        ({"fp32", "fp16"}, []),
    ]
    assert all(one["works"] for one in said)


def test_the_child_answers_what_it_does_not_understand() -> None:
    done = subprocess.run([*probe.COMMAND, "nonsense"], capture_output=True, text=True, check=True)
    told = answer_in(done.stdout)
    assert told is not None and told["works"] is False and "nonsense" in told["problem"] and told["cure"]
    assert "Traceback" not in done.stderr


def test_nothing_is_started_where_only_the_cpu_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "only_cpu", lambda: True)
    script = Script(tmp_path, "")
    machine = ProbedMachine(command=script.command)
    assert machine.devices() == (CPU,)
    assert machine.health(CPU) == Health(CPU, True)
    assert script.asked == []


def test_finding_that_out_imports_neither_onnxruntime_nor_metadata() -> None:
    code = """
import sys
from onnxflow.providers.probe import ProbedMachine, only_cpu
print(only_cpu(), len(ProbedMachine().devices()) if only_cpu() else 1)
print([m for m in ("onnxruntime", "numpy", "importlib.metadata") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    if first == "True 1":
        assert second == "[]"


@pytest.mark.parametrize(
    ("built", "plugin", "platform", "alone"),
    [
        ("onnxruntime", False, "linux", True),
        ("", False, "linux", True),
        ("onnxruntime", True, "linux", False),
        ("onnxruntime-gpu", False, "linux", False),
        ("onnxruntime", False, "darwin", False),
    ],
)
def test_what_can_have_other_devices(
    built: str, plugin: bool, platform: str, alone: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Spec:
        origin = str(tmp_path / "__init__.py")

    (tmp_path / "capi").mkdir()
    if built:
        (tmp_path / "capi" / "build_and_package_info.py").write_text(f"package_name = '{built}'\r\n__version__ = '9'\n")
    monkeypatch.setattr(probe.importlib.util, "find_spec", lambda name: Spec())
    monkeypatch.setattr(probe, "plugin_of", lambda facts: facts.wheels[0] if plugin and facts.wheels else None)
    monkeypatch.setattr(probe.sys, "platform", platform)
    assert only_cpu() is alone


def test_an_answer_is_kept_until_the_wheel_the_driver_or_the_system_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamps = ["one"]
    monkeypatch.setattr(probe, "stamp", lambda facts: stamps[-1])
    script = Script(tmp_path, f"print('babble')\ntell({WORKS!r})\nprint('more', end='')")
    found = ProbedMachine(command=script.command).health(CUDA)
    assert found == Health(CUDA, True, "", "", {"fp32": 100.0, "fp16": 200.0})
    assert ProbedMachine(command=script.command).health(CUDA) == found
    assert script.asked == ["cuda:0"]
    stamps.append("two")
    machine = ProbedMachine(command=script.command)
    assert machine.health(CUDA) == found == machine.health(CUDA)
    assert script.asked == ["cuda:0"] * 2
    machine = ProbedMachine(command=script.command, refresh=True)
    assert machine.health(CUDA) == found == machine.health(CUDA)
    assert script.asked == ["cuda:0"] * 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    ProbedMachine(command=script.command).health(CUDA)
    assert script.asked == ["cuda:0"] * 4


def test_libraries_are_looked_for_in_a_child(tmp_path: Path) -> None:
    facts = provider_named("cuda")
    names = [one.name for one in facts.libraries if one.platform == sys.platform]
    script = Script(tmp_path, f"tell({{'missing': {names[:1]!r}}})\nos.abort()")
    machine = ProbedMachine(command=script.command)
    assert [one.name for one in machine.missing(facts)] == names[:1]
    assert machine.missing(CPU.facts) == () and script.asked == ["libraries cuda"] * bool(names)
    assert ProbedMachine(command=Script(tmp_path, "os.abort()").command).missing(facts) == ()


@pytest.mark.skipif(sys.platform != "linux", reason="CUDA's libraries of Linux")
def test_the_child_looks_for_them() -> None:
    names = {one.name for one in ProbedMachine().missing(provider_named("tensorrt"))}
    assert names <= {one.name for one in provider_named("tensorrt").libraries}
    if importlib.util.find_spec("tensorrt_libs") is None:
        assert "libnvinfer.so.10" in names


def offer(provider: str, unit: str = "", **more: str) -> dict[str, Any]:
    return {"device": {"provider": provider, "unit": unit}, "what": "", "problem": "", "cure": "", **more}


def test_devices_are_listed_once_and_those_with_a_problem_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "only_cpu", lambda: False)
    told = {"offers": [offer("cuda", "0"), offer("openvino", "npu", problem="there is no NPU")]}
    script = Script(tmp_path, f"tell({told!r} if sys.argv[1] == 'devices' else {WORKS!r})")
    machine = ProbedMachine(command=script.command)
    assert machine.devices() == (CPU, CUDA)
    assert [one.problem for one in machine.listing().offers] == ["", "there is no NPU"]
    assert machine.health(CPU).speed["fp32"] == 100.0
    assert script.asked == ["devices", "cpu"]
    assert ProbedMachine(command=script.command).devices() == (CPU, CUDA)
    assert script.asked == ["devices", "cpu"]
    monkeypatch.setattr(probe, "surroundings", lambda: "a driver was installed")
    assert ProbedMachine(command=script.command).devices() == (CPU, CUDA)
    assert script.asked == ["devices", "cpu", "devices"]


def test_a_plug_in_that_crashes_when_it_is_registered_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "only_cpu", lambda: False)
    monkeypatch.setattr(
        probe, "plugin_of", lambda facts: facts.wheels[-1] if facts.name in ("webgpu", "openvino") else None
    )
    code = f"""
wanted = sys.argv[2:]
if not wanted or "webgpu" in wanted: os.abort()
tell({{"offers": [{offer("cuda", "0")!r}] if wanted == ["built-in"] else [{offer("openvino", "cpu")!r}]}})
"""
    script = Script(tmp_path, code)
    machine = ProbedMachine(command=script.command)
    assert machine.devices() == (CPU, CUDA, Device("openvino", "cpu"))
    (bad,) = [one for one in machine.listing().offers if one.problem]
    assert bad.device == Device("webgpu") and bad.cure
    assert script.asked[0] == "devices" and "devices built-in" in script.asked


def test_an_onnxruntime_that_crashes_when_it_is_imported_leaves_the_cpu_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "only_cpu", lambda: False)
    machine = ProbedMachine(command=Script(tmp_path, "os.abort()").command)
    assert machine.devices() == (CPU,)
    assert machine.listing().problem and machine.listing().cure
    assert not machine.health(CUDA).works


def test_what_is_remembered_and_damaged_is_tried_again(tmp_path: Path) -> None:
    script = Script(tmp_path, f"tell({WORKS!r})")
    ProbedMachine(command=script.command).health(CUDA)
    (key,) = recall("probe")
    for damaged in ({}, {"works": True, "speed": 3}, {"works": False}, "text", None, []):
        (tmp_path / "cache" / "probe.json").write_text(json.dumps({key: damaged}), "utf-8")
        assert ProbedMachine(command=script.command).health(CUDA).works


def test_the_last_answer_counts() -> None:
    assert answer_in(f'x\n{MARK}{{"a": 1}}\nnoise\n{MARK}{{"a": 2}}\n') == {"a": 2}
    assert answer_in(f'{MARK}{{"a": 1}}\n{MARK}{{"a": ') == {"a": 1}
    assert answer_in("") is None and answer_in(MARK) is None


def test_it_is_told_what_is_tried(tmp_path: Path) -> None:
    heard: list[str] = []
    ProbedMachine(command=Script(tmp_path, f"tell({WORKS!r})").command, tell=heard.append).measured(CUDA)
    assert heard == ["trying cuda:0"]
    assert probe_child.DEVICES == "devices"

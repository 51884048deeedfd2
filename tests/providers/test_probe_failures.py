"""Devices that fail: what is said of them, how long it is believed, and what is left of them."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from probe_script import CUDA, WORKS, Script

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled
from onnxflow.providers import probe
from onnxflow.providers.cache_folder import recall
from onnxflow.providers.device import parse_device
from onnxflow.providers.machine import Health
from onnxflow.providers.probe import ProbedMachine
from onnxflow.providers.probe_child import MARK


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONNXFLOW_CACHE", str(tmp_path / "cache"))


def test_a_failure_is_believed_until_something_may_have_mended_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(tmp_path, "tell({'works': False, 'problem': 'no driver', 'cure': 'install it'})")
    found = ProbedMachine(command=script.command).health(CUDA)
    assert (found.works, found.problem, found.cure) == (False, "no driver", "install it")
    assert ProbedMachine(command=script.command).health(CUDA) == found
    assert len(script.asked) == 1
    monkeypatch.setattr(probe, "surroundings", lambda: "another library is there")
    assert ProbedMachine(command=script.command).health(CUDA) == found
    assert len(script.asked) == 2


def test_a_failure_is_not_believed_of_a_device_that_somebody_named(tmp_path: Path) -> None:
    state = tmp_path / "mended"
    bad = {"works": False, "problem": "no driver", "cure": "install it"}
    script = Script(tmp_path, f"tell({WORKS!r} if os.path.exists({str(state)!r}) else {bad!r})")
    assert not ProbedMachine(command=script.command).health(CUDA, again=True).works
    state.touch()
    assert not ProbedMachine(command=script.command).health(CUDA).works
    machine = ProbedMachine(command=script.command)
    assert not machine.health(CUDA).works
    assert machine.health(CUDA, again=True).works and machine.health(CUDA).works
    assert ProbedMachine(command=script.command).health(CUDA, again=True).works
    assert len(script.asked) == 2


def test_a_device_that_fails_is_tried_once_by_each_process(tmp_path: Path) -> None:
    script = Script(tmp_path, "tell({'works': False, 'problem': 'no driver', 'cure': 'install it'})")
    ProbedMachine(command=script.command).health(CUDA)
    machine = ProbedMachine(command=script.command)
    for _ in range(3):
        machine.health(CUDA, again=True)
    assert len(script.asked) == 2


def test_a_precision_that_failed_is_remembered_and_tried_again_when_that_matters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"works": True, "speed": {"fp32": 9.0}, "failed": {"fp16": ["no shader-f16", "use fp32"]}}
    script = Script(tmp_path, f"tell({told!r})")
    found = ProbedMachine(command=script.command).health(CUDA)
    assert found == Health(CUDA, True, speed={"fp32": 9.0}, failed={"fp16": ("no shader-f16", "use fp32")})
    assert ProbedMachine(command=script.command).health(CUDA) == found
    assert len(script.asked) == 1
    assert ProbedMachine(command=script.command).health(CUDA, again=True) == found
    assert len(script.asked) == 2
    monkeypatch.setattr(probe, "surroundings", lambda: "another library is there")
    assert ProbedMachine(command=script.command).health(CUDA) == found
    assert len(script.asked) == 3


def test_what_takes_part_of_a_graph_is_remembered_as_that(tmp_path: Path) -> None:
    script = Script(tmp_path, "tell({'works': True, 'speed': {'fp32': 9.0}, 'partial': 'took 6 of 9 heavy nodes'})")
    for _ in range(2):
        assert ProbedMachine(command=script.command).health(CUDA).partial == "took 6 of 9 heavy nodes"
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "told",
    [
        {"works": False, "problem": "not enough memory to load it"},
        {"works": False, "problem": "x", "defect": True},
        {"works": True, "speed": {"fp32": 9.0}, "failed": {"fp16": ["not enough memory to run it", ""]}},
    ],
)
def test_want_of_memory_and_our_own_defects_are_not_remembered(tmp_path: Path, told: dict[str, Any]) -> None:
    script = Script(tmp_path, f"tell({told!r})")
    for _ in range(2):
        assert ProbedMachine(command=script.command).health(CUDA).works is told["works"]
    assert len(script.asked) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_child_that_was_killed_is_not_remembered(tmp_path: Path) -> None:
    script = Script(tmp_path, "import signal\nos.kill(os.getpid(), signal.SIGKILL)")
    for _ in range(2):
        assert not ProbedMachine(command=script.command, limit=1).health(CUDA).works
    assert len(script.asked) == 2 and recall("probe") == {}


def test_a_device_that_does_not_answer_is_left_alone_for_a_while_unless_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(tmp_path, "time.sleep(60)")
    for _ in range(2):
        assert not ProbedMachine(command=script.command, limit=1).health(CUDA).works
    assert len(script.asked) == 1
    ProbedMachine(command=script.command, limit=1).health(CUDA, again=True)
    assert len(script.asked) == 2
    later = probe.time.time() + probe.SHORT + 1
    monkeypatch.setattr(probe.time, "time", lambda: later)
    ProbedMachine(command=script.command, limit=1).health(CUDA)
    assert len(script.asked) == 3


def test_a_listing_that_ran_out_of_time_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "only_cpu", lambda: False)
    monkeypatch.setattr(probe, "plugin_of", lambda facts: facts.wheels[-1] if facts.name == "webgpu" else None)
    script = Script(tmp_path, "tell({'offers': []}) if sys.argv[2:] == ['built-in'] else time.sleep(60)")
    for _ in range(2):
        (bad,) = ProbedMachine(command=script.command, limit=1).listing().offers
        assert bad.problem == "it did not answer within 1 s"
    assert len(script.asked) == 6


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("time.sleep(60)", "it did not answer within 1 s"),
        ("os.abort()", "its driver or library crashed (SIGABRT)"),
        ("sys.exit(3)", "its trial ended with exit code 3 and gave no result"),
    ],
)
def test_a_child_that_dies_over_half_precision_leaves_the_other(tmp_path: Path, code: str, problem: str) -> None:
    told = {"works": True, "speed": {"fp32": 9.0}, "left": ["fp16"]}
    found = ProbedMachine(command=Script(tmp_path, f"tell({told!r})\n{code}").command, limit=1).health(CUDA)
    assert found.works and found.speed == {"fp32": 9.0}
    assert found.failed["fp16"][0] == problem and found.failed["fp16"][1]


def test_a_device_that_compiles_has_longer_and_says_so(tmp_path: Path) -> None:
    heard: list[str] = []
    script = Script(tmp_path, f"time.sleep(1.5)\ntell({WORKS!r})")
    machine = ProbedMachine(command=script.command, limit=1, tell=heard.append)
    assert machine.health(parse_device("tensorrt")).works and not machine.health(CUDA).works
    assert heard == ["trying tensorrt:0, which compiles: it has 5 s", "trying cuda:0"]
    assert probe.PATIENCE * probe.LIMIT == 300


def test_a_trial_ends_with_its_run(tmp_path: Path) -> None:
    cancel = CancelToken()
    threading.Timer(0.5, cancel.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        ProbedMachine(command=Script(tmp_path, "time.sleep(60)").command, cancel=cancel).health(CUDA)
    assert time.monotonic() - started < 10 and recall("probe") == {}


@pytest.mark.parametrize(("given", "seen"), [(None, "3"), ("4", "3"), ("1", "1"), ("loud", "3")])
def test_a_child_says_why_a_provider_could_not_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None, seen: str
) -> None:
    monkeypatch.delenv("ONNXFLOW_ORT_LOG", raising=False)
    if given is not None:
        monkeypatch.setenv("ONNXFLOW_ORT_LOG", given)
    took = {"works": False, "problem": "took none of its 20 heavy nodes, cpu would run", "cure": "another"}
    words = "[E:onnxruntime:Default, x.cc:1 f] [ERROR] severity "
    script = Script(tmp_path, f"print({words!r} + os.environ['ONNXFLOW_ORT_LOG'], file=sys.stderr)\ntell({took!r})")
    assert ProbedMachine(command=script.command).health(CUDA).problem == f"severity {seen}"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("time.sleep(60)", "it did not answer within 2 s"),
        ("print('garbage')", "its trial ended with exit code 0 and gave no result"),
        ("sys.exit('it broke')", "its trial ended with exit code 1 and gave no result: it broke"),
        (f"print({MARK!r} + '{{not json')", "its trial ended with exit code 0 and gave no result"),
        (f"print({MARK!r} + '[1]')", "its trial ended with exit code 0 and gave no result"),
        ("tell({'speed': {}})", "its trial gave an answer that cannot be read"),
        ("tell({'works': True, 'speed': {'fp32': 'fast'}})", "its trial gave an answer that cannot be read"),
        ("tell({'import': \"No module named 'onnxruntime'\"})", "onnxruntime is not installed"),
        (
            "tell({'import': 'libgomp.so.1: cannot open shared object file: No such file'})",
            "the library libgomp.so.1 is missing",
        ),
    ],
)
def test_what_a_child_does_instead_of_answering(tmp_path: Path, code: str, problem: str) -> None:
    script = Script(tmp_path, code)
    found = ProbedMachine(command=script.command, limit=2).health(CUDA)
    assert not found.works
    assert found.problem == problem
    assert found.cure


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("name", "said"), [("SIGSEGV", "(SIGSEGV)"), ("SIGABRT", "(SIGABRT)"), ("SIGILL", "illegal instruction")]
)
def test_a_child_that_dies_is_told_and_remembered(tmp_path: Path, name: str, said: str) -> None:
    script = Script(tmp_path, f"import signal\nos.kill(os.getpid(), signal.{name})")
    found = ProbedMachine(command=script.command).health(CUDA)
    assert not found.works and said in found.problem
    assert ProbedMachine(command=script.command).health(CUDA) == found
    assert len(script.asked) == 1


def test_an_answer_counts_even_when_the_process_crashes_as_it_ends(tmp_path: Path) -> None:
    script = Script(tmp_path, f"tell({WORKS!r})\nos.abort()")
    assert ProbedMachine(command=script.command).health(CUDA).works


def test_why_the_cpu_took_over_is_read_from_what_onnx_runtime_wrote(tmp_path: Path) -> None:
    took = {"works": False, "problem": "took none of its 20 heavy nodes, cpu would run", "cure": "another"}
    for words, problem in (
        ("libodd.so.9: cannot open shared object file: No such file", "the library libodd.so.9 is missing"),
        ("[W:onnxruntime:Default, x.cc:1 f] nothing of interest", took["problem"]),
    ):
        script = Script(tmp_path, f"print({words!r}, file=sys.stderr)\ntell({took!r})")
        found = ProbedMachine(command=script.command, refresh=True).health(CUDA)
        assert not found.works and found.problem == problem and found.cure

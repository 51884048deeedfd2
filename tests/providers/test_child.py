"""Children that hang, crash and babble: none of it kills us, and each death reads as what it is."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled
from onnxflow.providers import child
from onnxflow.providers.child import Ended, death, is_passing, run_child, signal_of

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def python(code: str, limit: float = 20) -> Ended:
    return run_child([sys.executable, "-c", code], limit)


def test_what_a_child_writes_and_its_exit_code_come_back() -> None:
    ended = python("import sys; print('out'); print('first\\n\\nlast \\n', file=sys.stderr); sys.exit(3)")
    assert (ended.output.strip(), ended.last_words, ended.code) == ("out", "last", 3)
    problem, cure = death(ended, 20, "some-wheel", "1.2")
    assert problem == "its trial ended with exit code 3 and gave no result: last"
    assert cure == "pip install --upgrade some-wheel"


def test_a_child_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    grandchild = "import time, pathlib; time.sleep(3); pathlib.Path('late').touch()"
    started = time.monotonic()
    code = f"""
import os, subprocess, sys, time
os.chdir({str(tmp_path)!r})
subprocess.Popen([sys.executable, "-c", {grandchild!r}])
print("begun", flush=True)
time.sleep(60)
"""
    ended = python(code, limit=1.5)
    assert ended.code is None
    assert time.monotonic() - started < 10
    time.sleep(3)
    assert not (tmp_path / "late").exists()
    problem, cure = death(ended, 1.5)
    assert problem == "it did not answer within 1.5 s"
    assert "onnxflow providers --refresh" in cure


def test_bytes_that_are_no_text_are_read_all_the_same() -> None:
    ended = python("import sys; sys.stdout.buffer.write(b'\\xff\\xfe ok')")
    assert ended.output.endswith(" ok")


def test_a_program_that_is_not_there_is_an_answer_too() -> None:
    ended = run_child(["/nowhere/python"], 5)
    assert ended.code == 1
    assert "does not start" in death(ended, 5)[0]


@posix
@pytest.mark.parametrize(
    ("name", "problem", "cure"),
    [
        ("SIGILL", "illegal instruction: this processor lacks", "pip install 'some-wheel<1.2'"),
        ("SIGSEGV", "its driver or library crashed (SIGSEGV): about to", "pip install --upgrade some-wheel"),
        ("SIGABRT", "its driver or library crashed (SIGABRT): about to", "pip install --upgrade some-wheel"),
        ("SIGKILL", "killed by the system, most likely for want of memory", "close other programs"),
    ],
)
def test_a_signal_is_told_in_words(name: str, problem: str, cure: str) -> None:
    code = f"""
import os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
print("about to", file=sys.stderr, flush=True)
os.kill(os.getpid(), signal.{name})
"""
    ended = python(code)
    assert ended.code == -signal.Signals[name]
    told = death(ended, 20, "some-wheel", "1.2")
    assert problem in told[0] and cure in told[1]


@pytest.mark.parametrize("shift", [0, -(2**32)])
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (0xC000001D, "illegal instruction"),
        (0xC0000005, "crashed (SIGSEGV)"),
        (0xC0000409, "crashed (SIGABRT)"),
        (0xC0000135, "a DLL that it needs is missing or too old (exit code 0xc0000135)"),
    ],
)
def test_exit_codes_of_windows_are_told_in_words(
    code: int, shift: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child.sys, "platform", "win32")
    problem, cure = death(Ended("", "", code + shift), 60, "some-wheel", "1.2")
    assert said in problem
    assert cure


@posix
def test_an_onnxruntime_that_crashes_by_itself_has_no_driver_to_update() -> None:
    assert death(Ended("", "", -11), 60, "onnxruntime", "1.31.1")[1] == "pip install --upgrade onnxruntime"
    assert "update its driver" in death(Ended("", "", -11), 60, "some-plugin", "1")[1]


def test_a_plug_in_that_is_too_new_for_onnxruntime_is_told_from_other_crashes() -> None:
    said = "The requested API version [27] is not available, only API versions [1, 24] are supported in this build.\n"
    problem, cure = death(Ended("", said, -11), 60, "some-plugin", "2.0", "onnxruntime-gpu")
    assert problem.startswith("some-plugin 2.0 needs a newer onnxruntime-gpu (requested API version [27]")
    assert cure == "pip install --upgrade onnxruntime-gpu some-plugin"


def test_ordinary_exit_codes_stand_for_no_signal() -> None:
    assert [signal_of(code) for code in (0, 1, 3, 127, 255)] == [""] * 5


@posix
def test_an_interrupt_leaves_no_child_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []

    class Interrupted(child.subprocess.Popen):  # type: ignore[misc, name-defined, type-arg]
        def communicate(self, *arguments: object, **options: object) -> object:
            found.append(self.pid)
            raise KeyboardInterrupt

    monkeypatch.setattr(child.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        python("import time; time.sleep(60)")
    for _ in range(50):
        try:
            if os.waitpid(found[0], os.WNOHANG) != (0, 0):
                return
        except ChildProcessError:
            return
        time.sleep(0.1)
    pytest.fail("the child still runs")


def test_a_cancelled_run_ends_the_child_at_once(tmp_path: Path) -> None:
    cancel = CancelToken()
    threading.Timer(1.0, cancel.cancel).start()
    code = f"import time, pathlib; time.sleep(4); pathlib.Path({str(tmp_path / 'late')!r}).touch()"
    started = time.monotonic()
    with pytest.raises(Cancelled):
        run_child([sys.executable, "-c", code], 60, cancel)
    assert time.monotonic() - started < 3
    time.sleep(4)
    assert not (tmp_path / "late").exists()
    with pytest.raises(Cancelled):
        run_child(["/nowhere/python"], 60, cancel)


def test_a_child_sees_the_environment_that_it_is_given() -> None:
    ended = run_child([sys.executable, "-c", "import os; print(os.environ['X'])"], 20, None, {**os.environ, "X": "y"})
    assert ended.output.strip() == "y"


def test_what_a_child_wrote_in_many_turns_is_all_there() -> None:
    ended = python("import time\nfor n in range(4): print(n, flush=True); time.sleep(0.3)")
    assert (ended.output.split(), ended.code) == (["0", "1", "2", "3"], 0)


@posix
def test_want_of_memory_and_of_time_may_pass() -> None:
    assert is_passing(death(Ended("", "", -9), 60)[0]) and is_passing(death(Ended("", "", None), 60)[0])
    assert is_passing("not enough memory to run it") and is_passing("the GPU has not enough memory")
    assert not is_passing(death(Ended("", "", -11), 60)[0]) and not is_passing("took none of its 20 heavy nodes")

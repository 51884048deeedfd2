"""`onnxflow doctor`, as a user runs it: here, and where onnxruntime is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def doctor(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ONNXFLOW_CACHE": str(folder / "cache"), **variables}
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "doctor", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


def broken(folder: Path, code: str) -> str:
    """A PYTHONPATH on which onnxruntime is a module of that code."""
    package = folder / "broken" / "onnxruntime"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(code, "utf-8")
    return str(package.parent)


def test_this_machine_is_told_line_by_line(tmp_path: Path) -> None:
    done = doctor(tmp_path)
    lines = done.stdout.splitlines()
    whats = [line.split()[1] for line in lines if line.split()[0] in ("ok", "note", "problem")]
    assert {"system", "Python", "cpu", "cache", "output"} <= set(whats)
    assert any(line.startswith("ok") and " cpu " in line and "fp32" in line and "GFLOP/s" in line for line in lines)
    wrong = sum(line.startswith("problem") for line in lines)
    assert done.returncode == (1 if wrong else 0), done.stdout
    assert lines[-1] == (f"{wrong} thing{'s' if wrong > 1 else ''} to mend" if wrong else "all is well")
    assert done.stderr == ""


def test_the_same_as_json(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--json")
    document = json.loads(done.stdout)
    assert document["ok"] is (done.returncode == 0)
    assert {"severity", "what", "why", "cure"} == set(document["findings"][0])


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("code", "said", "cure"),
    [
        ("import os; os.abort()", "its driver or library crashed (SIGABRT)", "try: pip install --upgrade onnxruntime"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            "illegal instruction",
            "try: pip install 'onnxruntime",
        ),
        (
            "raise ImportError('libgomp.so.1: cannot open shared object file: No such file or directory')",
            "the library libgomp.so.1 is missing",
            "try: sudo apt-get install libgomp1",
        ),
        (
            "raise ModuleNotFoundError(\"No module named 'onnxruntime'\")",
            "onnxruntime is not installed",
            "try: pip install",
        ),
        ("", "the installed onnxruntime is damaged", "try: pip install --force-reinstall --no-deps onnxruntime"),
    ],
)
def test_an_onnxruntime_that_cannot_be_imported_is_survived(tmp_path: Path, code: str, said: str, cure: str) -> None:
    done = doctor(tmp_path, PYTHONPATH=broken(tmp_path, code))
    assert done.returncode == 1, done.stdout + done.stderr
    assert said in done.stdout and cure in done.stdout
    assert "to mend" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_that_cannot_be_written_is_to_mend(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    done = doctor(tmp_path, ONNXFLOW_CACHE=str(tmp_path / "shut" / "cache"))
    assert done.returncode == 1
    assert "cannot be written" in done.stdout and "try: set ONNXFLOW_CACHE" in done.stdout


def test_a_cache_that_is_a_file_is_to_mend(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = doctor(tmp_path, ONNXFLOW_CACHE=str(tmp_path / "file" / "cache"))
    assert done.returncode == 1
    assert "cannot be written" in done.stdout and "try: set ONNXFLOW_CACHE" in done.stdout


def test_a_placement_that_there_is_not_is_to_mend(tmp_path: Path) -> None:
    for profile, said in (('unett = "cpu"', "there is no component 'unett'"), ('unet = "cudda"', "'cudda'")):
        (tmp_path / "onnxflow.toml").write_text(f"[place]\n{profile}\n")
        done = doctor(tmp_path)
        assert done.returncode == 1, done.stdout
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("problem")]
        assert line.split()[1] == "settings" and said in line and "onnxflow.toml" in line
        assert "try: did you mean" in done.stdout


def test_a_placement_that_no_run_can_keep_is_to_mend(tmp_path: Path) -> None:
    (tmp_path / "onnxflow.toml").write_text('[place]\nunet = "migraphx"\nvae = "cpu"\n')
    done = doctor(tmp_path)
    assert done.returncode == 1, done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("problem")]
    assert "onnxflow.toml, unet names migraphx:0: " in line and "not installed here" in line


def test_settings_that_cannot_be_used_are_to_mend(tmp_path: Path) -> None:
    done = doctor(tmp_path, ONNXFLOW_MODELS=str(tmp_path / "nowhere"))
    assert done.returncode == 1
    assert f"ONNXFLOW_MODELS names {tmp_path / 'nowhere'}, which is no folder" in done.stdout
    assert "try: correct or unset it" in done.stdout

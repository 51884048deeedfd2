"""What is said where ONNX Runtime is missing, or is there and does not import."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from fake_onnxruntime import Runtime, install

from onnxflow.errors import ProviderError
from onnxflow.providers.runtime import onnxruntime

ROOT = Path(__file__).parents[2]
MISSING = 'raise ModuleNotFoundError("No module named \'onnxruntime\'", name="onnxruntime")'


def shadow(folder: Path, source: str) -> dict[str, str]:
    """An environment whose package onnxruntime is ``source``."""
    (folder / "shadow" / "onnxruntime").mkdir(parents=True)
    (folder / "shadow" / "onnxruntime" / "__init__.py").write_text(source)
    return {**os.environ, "PYTHONPATH": str(folder / "shadow")}


def failed(monkeypatch: pytest.MonkeyPatch, *builds: str) -> ProviderError:
    """The error, with these distributions installed."""
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: {"onnxruntime": list(builds)})
    with pytest.raises(ProviderError) as caught:
        onnxruntime()
    return caught.value


def test_it_is_the_package() -> None:
    module = onnxruntime()
    assert module is sys.modules["onnxruntime"]
    assert "CPUExecutionProvider" in module.get_available_providers()


def test_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # import raises ModuleNotFoundError
    error = failed(monkeypatch)
    assert error.message == "no ONNX Runtime is installed here"
    assert error.hint.startswith("pip install onnxflow, ")


def test_what_an_uninstalled_build_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    error = failed(monkeypatch, "onnxruntime")
    assert "does not import: its files are incomplete" in error.message
    assert error.hint == "pip install --force-reinstall onnxruntime"
    assert failed(monkeypatch).hint.startswith("pip install onnxflow, ")


def test_two_builds_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))
    error = failed(monkeypatch, "onnxruntime-gpu", "onnxruntime", "onnxruntime")
    assert error.hint.startswith("pip uninstall onnxruntime onnxruntime-gpu: ")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (MISSING, ("no ONNX Runtime is installed here", "try: pip install onnxflow")),
        ("import missing_part", ("does not import: No module named 'missing_part'",)),
        ('raise ImportError("libcudart.so.12: cannot open")', ("does not import: libcudart.so.12: cannot open",)),
    ],
)
def test_a_run_ends_with_one_error(tmp_path: Path, source: str, words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "run", str(ROOT / "workflows" / "txt2img.json")],
        cwd=tmp_path, env=shadow(tmp_path, source), capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    for word in words:
        assert word in done.stderr


@pytest.mark.parametrize(
    ("named", "severity"),
    [(None, 4), ("", 4), ("0", 0), ("2", 2), ("4", 4), ("5", 4), ("-1", 4), ("all", 4), ("\u0663", 4)],
)
def test_its_log_is_silent_unless_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, named: str | None, severity: int
) -> None:
    if named is None:
        monkeypatch.delenv("ONNXFLOW_ORT_LOG", raising=False)
    else:
        monkeypatch.setenv("ONNXFLOW_ORT_LOG", named)
    runtime = install(monkeypatch, Runtime())
    onnxruntime()
    onnxruntime()
    assert runtime.severity == [severity]


@pytest.mark.parametrize(("named", "said"), [("4", False), ("1", True)])
def test_the_installed_one_obeys(named: str, said: bool) -> None:
    code = "from onnxflow.providers.runtime import onnxruntime; onnxruntime()"
    code += "; from onnxflow.providers.saturation import saturates; saturates()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "ONNXFLOW_ORT_LOG": named}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert bool(done.stderr) == said

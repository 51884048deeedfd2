"""The installed package: as light as it says, complete, and without PyTorch."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import onnxflow

ROOT = Path(__file__).parents[2]
FOREIGN = ("torch", "transformers", "diffusers", "optimum", "onnx", "onnxscript", "tokenizers", "accelerate")
INSTALLED = Path(onnxflow.__path__[0])
SOURCES = {"onnxflow": ROOT / "onnxflow", "onnxflow/export": ROOT / "export", "onnxflow/providers": ROOT / "providers"}


def python(code: str) -> str:
    """What a fresh interpreter prints, run away from the sources."""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("package", FOREIGN)
def test_the_environment_has_no_torch_and_nothing_that_goes_with_it(package: str) -> None:
    assert importlib.util.find_spec(package) is None


def test_nothing_the_runtime_requires_requires_them() -> None:
    seen: set[str] = set()
    waiting = ["onnxflow-core", "onnxruntime"]
    while waiting:
        package = waiting.pop()
        if package in seen:
            continue
        seen.add(package)
        for requirement in map(Requirement, importlib.metadata.requires(package) or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name.lower())
    assert not seen & set(FOREIGN)


def test_importing_onnxflow_loads_nothing_heavy() -> None:
    heavy = ("numpy", "onnxruntime", "PIL", "rich", "typer", "onnxflow.engine")
    assert python(f"import sys, onnxflow; print([m for m in {heavy!r} if m in sys.modules])") == "[]"


def test_reading_and_checking_load_neither_numpy_nor_onnxruntime() -> None:
    names = [
        f"onnxflow.{p}.{path.stem}"
        for p in ("graph", "workflow")
        for path in sorted((ROOT / "onnxflow" / p).glob("[a-z]*.py"))
    ]
    assert "onnxflow.workflow.check" in names
    code = f"""
import importlib, sys
for name in {["onnxflow.errors", "onnxflow.nodes.spec", *names]!r}:
    importlib.import_module(name)
print([m for m in ("numpy", "onnxruntime", "PIL") if m in sys.modules])
"""
    assert python(code) == "[]"


def test_every_module_is_installed_and_none_is_left_over() -> None:
    if INSTALLED == ROOT / "onnxflow":
        pytest.skip("the sources themselves are on the path")
    expected = {
        f"{package}/{path.relative_to(folder)}" for package, folder in SOURCES.items() for path in folder.rglob("*.py")
    }
    installed = {f"onnxflow/{path.relative_to(INSTALLED)}" for path in INSTALLED.rglob("*.py")}
    assert installed - {"onnxflow/workflows/__init__.py"} == expected, "run `make dev`"


def test_every_module_of_the_runtime_can_be_imported() -> None:
    names = [
        ".".join(("onnxflow", *path.relative_to(INSTALLED).with_suffix("").parts)).removesuffix(".__init__")
        for path in sorted(INSTALLED.rglob("*.py"))
        if path.relative_to(INSTALLED).parts[0] != "export" and path.name != "__main__.py"
    ]
    assert len(names) > 50
    code = f"import importlib\nfor name in {names!r}: importlib.import_module(name)\nprint(len({names!r}))"
    assert python(code) == str(len(names))

"""The wheel with the code: holds all modules and data, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import onnxflow

ROOT = Path(__file__).parents[2]
INFO = f"onnxflow_core-{onnxflow.__version__}.dist-info"
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "onnxflow", "export", "providers", "workflows")
PLACES = {
    "onnxflow": "onnxflow",
    "export": "onnxflow/export",
    "providers": "onnxflow/providers",
    "workflows": "onnxflow/workflows",
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of a copy of the sources, so that nothing left in build/ gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", str(folder), str(source)], check=True, cwd=folder)
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_every_module(wheel: zipfile.ZipFile) -> None:
    expected = {
        str(Path(place, path.relative_to(ROOT / folder)))
        for folder, place in PLACES.items()
        for path in (ROOT / folder).rglob("*.py")
    }
    assert {name for name in wheel.namelist() if name.endswith(".py")} == expected


def test_wheel_holds_the_embedded_model_and_the_workflows(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    assets = [
        path for path in (ROOT / "onnxflow" / "assets").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ]
    assert {f"onnxflow/assets/{path.relative_to(ROOT / 'onnxflow' / 'assets')}" for path in assets} <= names
    assert any(name.startswith("onnxflow/assets/") and name.endswith(".onnx") for name in names)
    assert {f"onnxflow/workflows/{path.name}" for path in (ROOT / "workflows").glob("*.json")} <= names
    assert {"onnxflow/workflows/txt2img.json", "onnxflow/py.typed"} <= names


def test_wheel_holds_nothing_else(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"onnxflow", INFO}
    assert not [
        name
        for name in wheel.namelist()
        if "test" in Path(name).stem.lower() or name.endswith((".pyc", ".pt", ".ckpt"))
    ]


def test_wheel_carries_its_licence_and_runs_on_any_machine(wheel: zipfile.ZipFile) -> None:
    assert wheel.filename is not None
    assert wheel.filename.endswith("-py3-none-any.whl")
    assert f"{INFO}/licenses/LICENSE" in wheel.namelist()
    metadata = wheel.read(f"{INFO}/METADATA").decode()
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert {line.split()[1].split(">")[0] for line in required} == {"numpy", "pillow", "rich", "typer"}

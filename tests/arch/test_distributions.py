"""The distributions: one with the code, and thin ones that each bring one build of ONNX Runtime."""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import onnxflow

ROOT = Path(__file__).parents[2]
CORE = "onnxflow-core"
BUILDS = {
    "onnxflow": "onnxruntime",
    "onnxflow-cuda": "onnxruntime-gpu",
    "onnxflow-directml": "onnxruntime-directml",
    "onnxflow-openvino": "onnxruntime-openvino",
}
PLUGINS = {
    "webgpu": "onnxruntime-ep-webgpu",
    "openvino-plugin": "onnxruntime-ep-openvino",
    "qnn": "onnxruntime-qnn",
}
FOLDERS = {CORE: ROOT, **{path.name: path for path in sorted((ROOT / "distributions").iterdir())}}
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "NOTICE", "onnxflow", "export", "providers", "workflows")
PLATFORMS = [
    {"sys_platform": platform, "platform_machine": machine}
    for platform, machine in (
        ("linux", "x86_64"),
        ("linux", "aarch64"),
        ("darwin", "arm64"),
        ("win32", "AMD64"),
        ("win32", "ARM64"),
    )
]
Wheels = dict[str, zipfile.ZipFile]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """All wheels by their distribution's name, built of a copy of the sources without the embedded model."""
    folder = tmp_path_factory.mktemp("wheels")
    ignore = shutil.ignore_patterns("__pycache__", "build", "*.egg-info", "*.onnx", "*.bin", "*.safetensors", "*.npy")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / CORE / name, ignore=ignore)
        else:
            (folder / CORE).mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / CORE)
    shutil.copytree(ROOT / "distributions", folder, dirs_exist_ok=True, ignore=ignore)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", "built", *(f"./{name}" for name in FOLDERS)], check=True, cwd=folder)
    built = [zipfile.ZipFile(path) for path in (folder / "built").iterdir()]
    return {str(metadata(wheel)["Name"]): wheel for wheel in built}


def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def requirements(wheel: zipfile.ZipFile) -> list[Requirement]:
    return [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist", [])]


def brought(wheels: Wheels, name: str, extras: set[str], platform: dict[str, str]) -> set[str]:
    """The names of all that a distribution with these extras requires there, through our own distributions."""
    found: set[str] = set()
    for requirement in requirements(wheels[name]):
        environments = [{**platform, "extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(one) for one in environments):
            found.add(requirement.name)
            if requirement.name in wheels:
                found |= brought(wheels, requirement.name, requirement.extras, platform)
    return found


def extras(wheel: zipfile.ZipFile) -> set[str]:
    return set(metadata(wheel).get_all("Provides-Extra", []))


def test_all_are_built_and_run_on_any_machine(wheels: Wheels) -> None:
    assert set(wheels) == {CORE, *BUILDS}
    for wheel in wheels.values():
        assert wheel.filename is not None
        assert wheel.filename.endswith("-py3-none-any.whl")


def test_all_have_one_version() -> None:
    tables = {name: tomllib.loads((folder / "pyproject.toml").read_text("utf-8")) for name, folder in FOLDERS.items()}
    assert {name: table["project"]["name"] for name, table in tables.items()} == {name: name for name in FOLDERS}
    assert {table["project"]["version"] for table in tables.values()} == {onnxflow.__version__}
    assert len({table["project"]["requires-python"] for table in tables.values()}) == 1


def test_core_requires_no_onnxruntime(wheels: Wheels) -> None:
    for platform in PLATFORMS:
        assert brought(wheels, CORE, set(), platform) == {"numpy", "pillow", "typer", "rich"}


def test_thin_distributions_have_no_code_and_require_core_of_their_version(wheels: Wheels) -> None:
    for name in BUILDS:
        assert {file.split("/")[0].endswith(".dist-info") for file in wheels[name].namelist()} == {True}
        for requirement in requirements(wheels[name]):
            assert requirement.name == CORE
            assert str(requirement.specifier) == f"=={onnxflow.__version__}"
            assert requirement.extras <= extras(wheels[CORE])


def test_onnxflow_is_core_with_the_cpu_build(wheels: Wheels) -> None:
    (required,) = (one for one in requirements(wheels["onnxflow"]) if one.marker is None)
    assert str(required) == f"{CORE}[cpu]=={onnxflow.__version__}"


@pytest.mark.parametrize("name", BUILDS)
def test_each_brings_one_build_of_onnxruntime_whatever_its_extras(wheels: Wheels, name: str) -> None:
    for platform in PLATFORMS:
        found = brought(wheels, name, extras(wheels[name]), platform)
        assert {one for one in found if one.startswith("onnxruntime")} - set(PLUGINS.values()) == {BUILDS[name]}


def test_plugins_go_with_the_cpu_build(wheels: Wheels) -> None:
    for extra, plugin in PLUGINS.items():
        places = [one for one in PLATFORMS if plugin in brought(wheels, "onnxflow", {extra}, one)]
        assert len(places) == (3 if extra == "qnn" else len(PLATFORMS))
        assert plugin not in brought(wheels, "onnxflow", set(), places[0])


def test_exporters_bring_the_cpu_build_within_the_bounds_of_cpu(wheels: Wheels) -> None:
    bounds: dict[str, str] = {}
    for requirement in requirements(wheels[CORE]):
        if requirement.name == "onnxruntime":
            bounds[str(requirement.marker)] = str(requirement.specifier)
    assert set(bounds) == {f'extra == "{extra}"' for extra in ("cpu", "export", "optimum")}
    assert len(set(bounds.values())) == 1

"""The command that brings a wheel into an environment, by what is in the environment."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from onnxflow.providers import install as installing
from onnxflow.providers import opening
from onnxflow.providers.catalog import CATALOG, PROVIDERS
from onnxflow.providers.device import parse_device
from onnxflow.providers.install import install_command
from onnxflow.providers.provider import Wheel


def wheel(name: str) -> Wheel:
    return next(wheel for one in PROVIDERS for wheel in one.wheels if wheel.distribution == name)


CPU, CUDA, OPENVINO = wheel("onnxruntime"), wheel("onnxruntime-gpu"), wheel("onnxruntime-openvino")
WEBGPU, OPENVINO_PLUGIN = wheel("onnxruntime-ep-webgpu"), wheel("onnxruntime-ep-openvino")


def environment(monkeypatch: pytest.MonkeyPatch, *names: str, url: str = "", editable: bool = True) -> None:
    """An environment with these distributions; the code is installed from ``url``, in place or as a copy, or from a
    wheel."""
    told = json.dumps({"url": url, "dir_info": {"editable": True} if editable else {}}) if url else None

    def distribution(name: str) -> Any:
        there = name == "onnxflow-core" or (name in names and name.startswith("onnxflow"))
        return SimpleNamespace(read_text=lambda _: told) if there else None

    monkeypatch.setattr(installing, "installed", lambda: {name: "1.31.1" for name in names if "runtime" in name})
    monkeypatch.setattr(installing, "_distribution", distribution)


@pytest.mark.parametrize(
    ("there", "wanted", "command"),
    [
        ("", CUDA, "pip install onnxflow-cuda"),
        ("onnxflow onnxruntime", CUDA, "pip uninstall -y onnxflow onnxruntime && pip install onnxflow-cuda"),
        ("onnxruntime", CUDA, "pip uninstall -y onnxruntime && pip install onnxflow-cuda"),
        ("onnxflow onnxruntime", CPU, "pip install onnxflow"),
        ("onnxflow onnxruntime", WEBGPU, "pip install 'onnxflow[webgpu]'"),
        ("onnxflow onnxruntime onnxruntime-ep-webgpu", OPENVINO_PLUGIN, "pip install 'onnxflow[openvino-plugin]'"),
        (
            "onnxflow-cuda onnxruntime-gpu", WEBGPU,
            "pip uninstall -y onnxflow-cuda onnxruntime-gpu && pip install 'onnxflow[webgpu]'",
        ),
        (
            "onnxflow-cuda onnxruntime-gpu", OPENVINO,
            "pip uninstall -y onnxflow-cuda onnxruntime-gpu && pip install onnxflow-openvino",
        ),
        (
            "onnxflow onnxflow-cuda onnxruntime onnxruntime-gpu", CUDA,
            "pip uninstall -y onnxflow onnxflow-cuda onnxruntime onnxruntime-gpu && pip install onnxflow-cuda",
        ),
        ("onnxruntime-gpu", wheel("onnxruntime-migraphx"), ""),
    ],
)  # fmt: skip
def test_from_a_wheel(monkeypatch: pytest.MonkeyPatch, there: str, wanted: Wheel, command: str) -> None:
    environment(monkeypatch, *there.split())
    assert install_command(wanted) == command


@pytest.mark.parametrize(
    ("there", "wanted", "command"),
    [
        ("", CUDA, "pip install -e '/my clone[cuda]'"),
        ("", CPU, "pip install -e '/my clone[cpu]'"),
        ("", WEBGPU, "pip install -e '/my clone[cpu,webgpu]'"),
        ("onnxruntime", WEBGPU, "pip install -e '/my clone[webgpu]'"),
        ("onnxruntime", CUDA, "pip uninstall -y onnxruntime && pip install -e '/my clone[cuda]'"),
        ("onnxruntime-gpu", OPENVINO_PLUGIN,
         "pip uninstall -y onnxruntime-gpu && pip install -e '/my clone[cpu,openvino-plugin]'"),
    ],
)  # fmt: skip
def test_from_a_clone(monkeypatch: pytest.MonkeyPatch, there: str, wanted: Wheel, command: str) -> None:
    environment(monkeypatch, *there.split(), url="file:///my%20clone")
    assert install_command(wanted) == command


def test_every_extra_of_a_clone_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import tomllib

    environment(monkeypatch, url="file:///clone")
    extras = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    for one in PROVIDERS:
        for each in one.wheels:
            if each.install:
                named = install_command(each).partition("[")[2].rstrip("']").split(",")
                assert set(named) <= extras["optional-dependencies"].keys(), each


def test_this_environment_is_a_clone() -> None:
    command = install_command(CATALOG["webgpu"].wheels[0])
    assert command == "pip install -e '" + str(Path(__file__).parents[2]) + "[webgpu]'"


def test_the_command_that_takes_nothing_away_stands_first(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, "onnxflow", "onnxruntime")
    monkeypatch.setattr(opening, "sys", SimpleNamespace(platform="linux"))
    monkeypatch.setattr(opening, "_machine", lambda: "x86_64")
    assert opening.not_installed(parse_device("openvino:gpu")).hint == (
        "pip install 'onnxflow[openvino-plugin]' or "
        "pip uninstall -y onnxflow onnxruntime && pip install onnxflow-openvino"
    )


def test_a_clone_that_was_copied_is_named_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, "onnxruntime", url="file:///a/clone", editable=False)
    assert install_command(WEBGPU) == "pip install '/a/clone[webgpu]'"
    assert install_command(CUDA) == "pip uninstall -y onnxruntime && pip install '/a/clone[cuda]'"

"""`onnxflow models` and `onnxflow models rm`, as a user runs them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import int8_model
from foreign_folder import write_foreign


def onnxflow(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", *map(str, arguments)],
        cwd=cwd, env=dict(os.environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder whose models/ has one of two precisions, and a damaged one."""
    int8_model(tmp_path / "models", "sub/mine")
    checkpoints = tmp_path / "models" / "checkpoints"
    shutil.copytree(checkpoints / "sub" / "mine", checkpoints / "broken")
    (checkpoints / "broken" / "unet" / "model.onnx").unlink()
    return tmp_path


def test_every_model_is_listed_with_its_precisions(folder: Path) -> None:
    done = onnxflow("models", cwd=folder)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["NAME", "FAMILY", "PRECISIONS", "SIZE", "FOLDER"]
    assert [line.split()[0] for line in lines] == ["onnxflow-tiny", "broken", "sub/mine"]
    assert lines[0].split()[1] == "sd1"
    assert "not usable" in lines[1]
    assert "note: broken cannot be used: the model's file unet/model.onnx is missing" in done.stderr
    assert "fp32, int8" in lines[2]
    assert " MB " in lines[2]
    assert lines[2].endswith(str(folder / "models" / "checkpoints" / "sub" / "mine"))


def test_a_folder_that_others_wrote_is_listed_as_such_and_removed(folder: Path) -> None:
    foreign = write_foreign(folder / "models" / "checkpoints" / "foreign")
    lines = onnxflow("models", cwd=folder).stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("foreign")]
    assert "sd1" in line and "fp32 (an Optimum or Diffusers folder)" in line and line.endswith(str(foreign))
    assert onnxflow("models", "rm", "foreign", "--yes", cwd=folder).returncode == 0
    assert not foreign.exists()


def test_a_model_is_removed_only_when_that_is_meant(folder: Path) -> None:
    mine = folder / "models" / "checkpoints" / "sub" / "mine"
    done = onnxflow("models", "rm", "sub/mine", cwd=folder)
    assert done.returncode == 2
    assert "say --yes" in done.stderr
    assert mine.exists()
    for options in (("models", "rm", "sub/mine", "--yes"), ("models", "rm", "broken", "-y", "--models", "models")):
        done = onnxflow(*options, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
    assert not mine.exists()
    assert sorted(path.name for path in (folder / "models").rglob("*")) == ["checkpoints", "sub"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("onnxflow-tiny", "is the embedded model"),
        ("mien", "there is no model 'mien'"),
        ("../models", "there is no model '../models'"),
        ("sub", "there is no model 'sub'"),
        ("sub/mine@int8", "there is no model 'sub/mine@int8'"),
    ],
)
def test_what_is_no_model_of_ones_own_is_not_removed(folder: Path, name: str, said: str) -> None:
    before = sorted(folder.rglob("*"))
    done = onnxflow("models", "rm", name, "--yes", cwd=folder)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(folder.rglob("*")) == before


def test_a_link_is_removed_and_what_it_leads_to_is_not(folder: Path) -> None:
    link = folder / "models" / "checkpoints" / "link"
    try:
        link.symlink_to(folder / "models" / "checkpoints" / "sub" / "mine", target_is_directory=True)
    except OSError:
        pytest.skip("links are not allowed here")
    done = onnxflow("models", "rm", "link", "--yes", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert not link.exists()
    manifest = json.loads((folder / "models" / "checkpoints" / "sub" / "mine" / "onnxflow.json").read_text())
    assert manifest["family"] == "sd1"

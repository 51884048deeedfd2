"""The official Stable Diffusion templates, unedited: a picture where the nodes exist, else the exact list of what is
missing. They are not ours to ship: read where they lie beside the project."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from onnxflow.cli.opened import opened, surroundings
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.workflow.check import every_problem
from onnxflow.workflow.definitions import comfyui_definition
from onnxflow.workflow.read import read_workflow

TEMPLATES = Path(__file__).parents[3] / "shared" / "comfyui" / "templates"
pytestmark = pytest.mark.skipif(not TEMPLATES.is_dir(), reason="the official templates are not here")

_MODEL = re.compile(r'"([^" ]+\.(?:safetensors|ckpt|pth|pt|sft))"')
NEEDS_AN_EMBEDDING = "embedding_example"
"""The template that names an embedding in a pickle, which is refused."""


def names() -> list[str]:
    return sorted(path.stem for path in TEMPLATES.glob("*.json"))


def missing(name: str) -> set[str]:
    """The classes of a template that there are not."""
    nodes = read_workflow(TEMPLATES / f"{name}.json").graph.nodes.values()
    return {node.class_type for node in nodes} - set(builtin_catalog())


def mapped(name: str) -> list[str]:
    """The embedded model in the place of every model that a template names."""
    found = _MODEL.findall((TEMPLATES / f"{name}.json").read_text("utf-8"))
    return [f"{model}=onnxflow-tiny" for model in sorted(set(found))]


def run(name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    flags = [part for pair in mapped(name) for part in ("--map-model", pair)]
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "run", str(TEMPLATES / f"{name}.json"), *flags],
        cwd=folder, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip


def pictures(name: str, folder: Path) -> None:
    """The pictures that a template loads."""
    for node in read_workflow(TEMPLATES / f"{name}.json").graph.nodes.values():
        image = node.inputs.get("image")
        if node.class_type in ("LoadImage", "LoadImageMask") and isinstance(image, str):
            path = folder / "input" / image
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.radial_gradient("L").convert("RGBA").save(path)


@pytest.mark.parametrize("name", names())
def test_what_is_missing_is_listed_exactly(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    around = surroundings(None, None, mapped(name), None, None, no_custom_nodes=True)
    problems = every_problem(opened(TEMPLATES / f"{name}.json", around), around.catalog, around.disk)
    unknown = {problem.node.class_type for problem in problems if problem.code == "invalid_prompt" and problem.node}
    assert unknown == missing(name)
    assert all(comfyui_definition(class_type) is not None for class_type in unknown)
    others = [problem for problem in problems if problem.code != "invalid_prompt"]
    assert len(others) == (name == NEEDS_AN_EMBEDDING), others


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in names() if n != NEEDS_AN_EMBEDDING and not missing(n)])
def test_what_can_run_draws_a_picture(name: str, tmp_path: Path) -> None:
    pictures(name, tmp_path)
    done = run(name, tmp_path)
    assert done.returncode == 0, done.stderr
    made = done.stdout.split("\n")[:-1]
    assert made
    for path in made:
        with Image.open(path) as picture:
            low, high = picture.convert("L").getextrema()
            assert high - low > 50, "neither black nor blank"
            assert json.loads(picture.info["workflow"])["nodes"]

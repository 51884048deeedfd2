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

from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.workflow.definitions import comfyui_definition
from onnxflow.workflow.read import read_workflow

TEMPLATES = Path(__file__).parents[3] / "shared" / "comfyui" / "templates"
pytestmark = pytest.mark.skipif(not TEMPLATES.is_dir(), reason="the official templates are not here")

_MODEL = re.compile(r'"([^" ]+\.(?:safetensors|ckpt|pth|pt|sft))"')
NEEDS_AN_EMBEDDING = "embedding_example"


def names() -> list[str]:
    return sorted(path.stem for path in TEMPLATES.glob("*.json"))


def missing(name: str) -> set[str]:
    """The classes of a template that there are not."""
    nodes = read_workflow(TEMPLATES / f"{name}.json").graph.nodes.values()
    return {node.class_type for node in nodes} - set(builtin_catalog())


def onnxflow(command: str, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = TEMPLATES / f"{name}.json"
    text = path.read_text("utf-8")
    mapped = [f"{model}=onnxflow-tiny" for model in sorted(set(_MODEL.findall(text)))]
    flags = [part for pair in mapped for part in ("--map-model", pair)]
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", command, str(path), *flags],
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
def test_what_is_missing_is_listed_exactly(name: str, tmp_path: Path) -> None:
    pictures(name, tmp_path)
    done = onnxflow("check", name, tmp_path)
    lacking = missing(name)
    assert all(comfyui_definition(class_type) is not None for class_type in lacking)
    named = set(re.findall(r"because node (\S+) does not exist", done.stderr))
    assert named == lacking
    assert done.returncode == (2 if lacking or name == NEEDS_AN_EMBEDDING else 0), done.stderr
    others = [line for line in done.stderr.splitlines() if line.startswith("- ") and "does not exist" not in line]
    assert len(others) == (name == NEEDS_AN_EMBEDDING), others


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names() if not missing(name)])
def test_what_can_run_draws_a_picture(name: str, tmp_path: Path) -> None:
    if name == NEEDS_AN_EMBEDDING:
        pytest.skip("it names an embedding in a pickle")
    pictures(name, tmp_path)
    done = onnxflow("run", name, tmp_path)
    assert done.returncode == 0, done.stderr
    made = done.stdout.split("\n")[:-1]
    assert made
    for path in made:
        with Image.open(path) as picture:
            low, high = picture.convert("L").getextrema()
            assert high - low > 50, "neither black nor blank"
            assert json.loads(picture.info["workflow"])["nodes"]

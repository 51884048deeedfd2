"""`onnxflow check`, `convert` and `nodes` as a user meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).parents[1] / "workflow" / "ui" / "cases"
MAPPED = ("--map-model", "fake_sd15.safetensors=onnxflow-tiny")


def onnxflow(*arguments: object, cwd: Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120, input=given,
    )  # fmt: skip


def case(name: str, folder: Path) -> Path:
    """The editor's file of a case."""
    path = folder / "wf.json"
    path.write_text(json.dumps(json.loads((CASES / f"{name}.json").read_text("utf-8"))["workflow"]), "utf-8")
    return path


def test_a_workflow_that_can_run_is_said_to(tmp_path: Path) -> None:
    case("subgraph_simple", tmp_path)
    done = onnxflow("check", "wf.json", *MAPPED, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "wf.json can run: 7 nodes, results of 7\n"
    done = onnxflow("check", "wf.json", *MAPPED, "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {"valid": True, "nodes": 7, "outputs": ["7"], "remarks": []}


def test_every_problem_is_in_one_list(tmp_path: Path) -> None:
    nodes: dict[str, Any] = {
        "1": {"class_type": "Nothing", "inputs": {"a": ["4", 0], "b": ["5", 0]}},
        "2": {"class_type": "WanImageToVideo", "inputs": {}},
        "3": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "nosuch.safetensors"}},
        "4": {"class_type": "VAEDecode", "inputs": {"samples": ["1", 0], "vae": ["3", 9]}},
        "5": {"class_type": "ImageInvert", "inputs": {"image": ["5", 0]}},
    }
    (tmp_path / "wf.json").write_text(json.dumps(nodes))
    done = onnxflow("check", "wf.json", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    for words in (
        "there are 5 problems", "node 1 (Nothing)", "known, not runnable here: needs a video model",
        "nosuch.safetensors", "output 9 of", "has a cycle",
    ):  # fmt: skip
        assert words in done.stderr
    told = json.loads(onnxflow("check", "wf.json", "--json", cwd=tmp_path).stdout)
    assert told["valid"] is False and len(told["problems"]) == 5


def test_nothing_is_loaded_to_check(tmp_path: Path) -> None:
    script = (
        "import sys; sys.argv = ['onnxflow', 'check', 'wf.json', *sys.argv[1:]]\n"
        "from onnxflow.cli.main import main\n"
        "try: main()\n"
        "finally: print([name for name in ('onnxruntime', 'numpy.linalg') if name in sys.modules and name != 'numpy'])"
    )
    case("base_txt2img", tmp_path)
    done = subprocess.run(
        [sys.executable, "-P", "-c", script, *MAPPED], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "can run" in done.stdout and "onnxruntime" not in done.stdout, done.stderr


@pytest.mark.parametrize("name", ["subgraph_simple", "group_node_loaded", "reroute_legacy_chain"])
def test_convert_writes_what_the_editor_sends(tmp_path: Path, name: str) -> None:
    path = case(name, tmp_path)
    done = onnxflow("convert", path, "-o", "api.json", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wanted = json.loads((CASES / f"{name}.json").read_text("utf-8"))["api"]
    found = json.loads((tmp_path / "api.json").read_text("utf-8"))
    assert {i: (e["class_type"], e["inputs"]) for i, e in found.items()} == {
        i: (e["class_type"], e["inputs"]) for i, e in wanted.items()
    }
    again = onnxflow("convert", "-", cwd=tmp_path, given=path.read_text("utf-8"))
    assert json.loads(again.stdout) == found
    assert sorted(path.name for path in tmp_path.iterdir()) == ["api.json", "wf.json"]


def test_convert_says_what_it_does_not_know_and_where_it_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "wf.json"
    path.write_text(json.dumps(json.loads((CASES / "unknown_node_type.json").read_text("utf-8"))["input"]))
    done = onnxflow("convert", path, cwd=tmp_path)
    assert done.returncode == 0 and "note: node 6 (TotallyUnknownNode): nobody here knows this class" in done.stderr
    assert json.loads(done.stdout)["6"]["class_type"] == "TotallyUnknownNode"
    done = onnxflow("convert", path, "-o", "no/such/folder.json", cwd=tmp_path)
    assert done.returncode == 1 and "cannot write the workflow" in done.stderr and "  try: " in done.stderr
    assert onnxflow("convert", path, "--to", "xml", cwd=tmp_path).returncode == 2


def test_nodes_are_listed_and_told(tmp_path: Path) -> None:
    lines = onnxflow("nodes", cwd=tmp_path).stdout.splitlines()
    assert len(lines) > 380 and lines[0].split() == ["CLASS", "CATEGORY", "HERE"]
    told = {line.split()[0]: line for line in lines[1:]}
    assert told["KSampler"].endswith("runs")
    assert told["WanImageToVideo"].endswith("known, not runnable here: needs a video model")
    one = onnxflow("nodes", "KSampler", cwd=tmp_path).stdout
    assert "steps: INT from 1 to 10000, at first 20" in one and "out  0 LATENT: LATENT" in one
    info = json.loads(onnxflow("nodes", "KSampler", "--json", cwd=tmp_path).stdout)
    assert info["KSampler"]["input_order"]["required"][0] == "model"
    done = onnxflow("nodes", "Ksampler", cwd=tmp_path)
    assert done.returncode == 2 and "did you mean 'KSampler'" in done.stderr


def test_the_api_format_becomes_the_editor_s_and_comes_back(tmp_path: Path) -> None:
    workflow = Path(__file__).parents[2] / "workflows" / "areas.json"
    assert onnxflow("convert", workflow, "--to", "ui", "-o", "editor.json", cwd=tmp_path).returncode == 0
    editors = json.loads((tmp_path / "editor.json").read_text("utf-8"))
    assert editors["version"] == 0.4 and len(editors["nodes"]) == len(json.loads(workflow.read_text("utf-8")))
    back = json.loads(onnxflow("convert", "editor.json", cwd=tmp_path).stdout)
    wanted = json.loads(workflow.read_text("utf-8"))
    assert {i: e["inputs"] for i, e in back.items()} == {i: e["inputs"] for i, e in wanted.items()}

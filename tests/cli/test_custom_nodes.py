"""Node packs on the command line and in the library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import onnxflow
from onnxflow.errors import WorkflowError

PACKS = Path(__file__).parents[1] / "custom_nodes"
LOOP: dict[str, Any] = {
    "1": {"class_type": "StubInt", "inputs": {"value": 2}},
    "2": {"class_type": "TestForLoopOpen", "inputs": {"remaining": 5, "initial_value1": ["1", 0]}},
    "3": {"class_type": "TestIntMathOperation", "inputs": {"a": ["2", 2], "b": ["1", 0], "operation": "multiply"}},
    "4": {"class_type": "TestForLoopClose", "inputs": {"flow_control": ["2", 0], "initial_value1": ["3", 0]}},
    "5": {"class_type": "TestShow", "inputs": {"value": ["4", 0]}},
}


def command(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    (cwd / "wf.json").write_text(json.dumps(LOOP))
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "run", "wf.json", *map(str, arguments)],
        cwd=cwd, env=os.environ, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_loop_of_a_pack_on_the_command_line(tmp_path: Path) -> None:
    done = command("--custom-nodes", PACKS, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "TestShow (5): 64" in done.stderr and done.stdout == ""


def test_the_working_folders_packs_what_is_wrong_with_one_and_none_at_all(tmp_path: Path) -> None:
    (tmp_path / "custom_nodes").mkdir()
    os.symlink(PACKS / "testing_pack", tmp_path / "custom_nodes" / "testing_pack")
    (tmp_path / "custom_nodes" / "other.py").write_text("import torch")
    done = command(cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "custom nodes of the pack other: not available: it imports torch" in done.stderr
    done = command("--no-custom-nodes", cwd=tmp_path)
    assert done.returncode == 2 and "node TestShow does not exist" in done.stderr
    done = command("--no-custom-nodes", "--custom-nodes", PACKS, cwd=tmp_path)
    assert done.returncode == 2 and "leave one of them away" in done.stderr


def test_events_name_the_node_that_made_a_node(tmp_path: Path) -> None:
    done = command("--custom-nodes", PACKS, "--json", cwd=tmp_path)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    made = [e["data"] for e in events if e["type"] == "executing" and "." in (e["data"]["node"] or "")]
    assert made and {data["display_node"] for data in made} <= {"2", "3", "4"}
    nodes = [node for e in events if e["type"] == "report" for node in e["data"]["nodes"]]
    assert {data["node"] for data in made} <= {node["node"] for node in nodes}


def test_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shown: list[Any] = []
    (tmp_path / "packs").mkdir()
    (tmp_path / "packs" / "bad.py").write_text("import no_such_module")
    report = onnxflow.run(LOOP, custom_nodes=[PACKS, "packs"], listener=lambda e: shown.append((e.type, e.data)))
    assert [data["output"] for type_, data in shown if type_ == "executed"] == [{"text": ["64"]}]
    assert report.remarks == (
        "custom nodes of the pack bad: not available: it imports no_such_module, which is not installed",
    )
    with pytest.raises(WorkflowError):
        onnxflow.run(LOOP, custom_nodes=None)


NOISY = """
print("LOUD module")

class Loud:
    CATEGORY = FUNCTION = "go"
    RETURN_TYPES = ()
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        print("LOUD INPUT_TYPES")
        return {"required": {"value": ("INT", {"default": 1})}}

    @classmethod
    def IS_CHANGED(cls, value):
        print("LOUD IS_CHANGED")
        return 1

    @classmethod
    def VALIDATE_INPUTS(cls, value):
        print("LOUD VALIDATE_INPUTS")
        return True

    async def go(self, value):
        print("LOUD go")
        return {"ui": {"text": ["done"]}}

NODE_CLASS_MAPPINGS = {"Loud": Loud}
"""


@pytest.mark.parametrize("arguments", [["run", "--json"], ["run"], ["check"], ["convert"], ["plan"], ["nodes", "Loud"]])
def test_stdout_is_for_results_whatever_a_pack_prints(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "loud.py").write_text(NOISY)
    (tmp_path / "wf.json").write_text(json.dumps({"1": {"class_type": "Loud", "inputs": {"value": 3}}}))
    file = [] if arguments[0] == "nodes" else ["wf.json"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", *arguments, *file],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "LOUD" in done.stderr and "LOUD" not in done.stdout
    if "--json" in arguments:
        assert [json.loads(line) for line in done.stdout.splitlines()][-1]["type"] == "report"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo terminals")
def test_paths_go_to_stdout_while_a_terminal_shows_the_bar(tmp_path: Path) -> None:
    import pty

    workflow = Path(__file__).parents[2] / "workflows" / "txt2img.json"
    theirs, ours = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "onnxflow", "run", str(workflow), "--set", "5.steps=1"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=ours, text=True, check=False, timeout=120,
            env={**os.environ, "TERM": "xterm"},
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 0 and Path(done.stdout.strip()).is_file(), done.stdout

"""`onnxflow plan`: steps, networks, files and sizes, as a table, as JSON and as a drawing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from onnxflow.cli.plan import drawing
from onnxflow.engine.outline import OutlinedStep
from onnxflow.models.store import embedded_folder

WORKFLOW = Path(__file__).parents[2] / "workflows" / "txt2img.json"


def onnxflow(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "plan", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_table_names_steps_networks_and_files(tmp_path: Path) -> None:
    done = onnxflow(WORKFLOW, "--place", "unet=cpu@int8", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    assert head.split() == ["NODE", "CLASS", "RUNS", "WEIGHTS", "READS"]
    assert any(line.startswith("5 ") and "unet int8 on cpu@int8" in line and "1, 2, 3, 4" in line for line in lines)
    assert "7 steps, 3 networks with " in done.stdout and str(embedded_folder()) in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_same_as_json(tmp_path: Path) -> None:
    steps = json.loads(onnxflow(WORKFLOW, "--json", cwd=tmp_path).stdout)["steps"]
    assert steps[0]["id"] == "1" and steps[-1]["output"] is True
    (used,) = next(step for step in steps if step["class_type"] == "KSampler")["runs"]
    assert (used["component"], used["variant"], used["place"]) == ("unet", "fp32", "") and used["size"] > 1_000_000


def test_a_workflow_that_cannot_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "wf.json").write_text('{"1": {"class_type": "Nothing"}}')
    done = onnxflow("wf.json", cwd=tmp_path)
    assert done.returncode == 2 and done.stdout == "" and "Nothing does not exist" in done.stderr
    assert onnxflow(WORKFLOW, "--json", "--mermaid", cwd=tmp_path).returncode == 2


def test_the_drawing_has_every_step_and_every_link() -> None:
    one = OutlinedStep("1", "A", 'a "b" <c>', (), (), "", output=False)
    two = OutlinedStep("8:2", "B", "", (), ("1",), "", output=True)
    three = OutlinedStep("3", "A", "", (), (), "1", output=False)
    assert drawing([one, two, three]) == [
        "flowchart LR",
        '    n0["1 a #34;b#34; #60;c#62;"]',
        '    n1[["8:2 B"]]',
        '    n2["3 A"]',
        "    n0 --> n1",
        "    n0 -. same .-> n2",
    ]

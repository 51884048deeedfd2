"""`onnxflow providers`, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def providers(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ONNXFLOW_CACHE": str(folder / "cache"), **variables}
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "providers", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip


def test_devices_are_listed_with_their_speed_and_remembered(tmp_path: Path) -> None:
    done = providers(tmp_path)
    assert done.returncode == 0, done.stderr
    head, cpu, *rest = done.stdout.splitlines()
    assert head.split() == ["DEVICE", "WHAT", "FP32", "FP16", "STATE", "WHEEL"]
    assert cpu.split()[0] == "cpu" and " works " in cpu and "onnxruntime" in cpu
    (others,) = [line for line in rest if line.startswith("not installed: ")]
    assert "cuda: " not in others or "cuda: pip uninstall -y onnxruntime" in others
    assert providers(tmp_path).stdout == done.stdout  # the speed as well: it was not measured again
    kept = (tmp_path / "cache" / "probe.json").stat().st_mtime_ns
    assert providers(tmp_path, "--refresh").returncode == 0
    assert (tmp_path / "cache" / "probe.json").stat().st_mtime_ns > kept


def test_the_same_as_json(tmp_path: Path) -> None:
    document = json.loads(providers(tmp_path, "--json").stdout)
    (cpu,) = [row for row in document["devices"] if row["device"] == "cpu"]
    assert cpu["works"] is True and cpu["fp32"] > 0 and cpu["problem"] == ""
    named = {row["device"].partition(":")[0] for row in document["devices"]}
    assert not named & {*document["available"], *document["elsewhere"]}
    assert {"webgpu", "cuda"} <= named | {*document["available"], *document["elsewhere"]}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_onnxruntime_that_crashes_is_a_line_of_the_list(tmp_path: Path) -> None:
    package = tmp_path / "broken" / "onnxruntime"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import os; os.abort()", "utf-8")
    done = providers(tmp_path, PYTHONPATH=str(package.parent))
    assert done.returncode == 0, done.stderr
    assert "does not work" in done.stdout
    assert "cpu: its driver or library crashed (SIGABRT)" in done.stdout

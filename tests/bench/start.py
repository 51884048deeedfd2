"""`make bench-start`: from the start of the process to the PNG, with the embedded model, and what that is made of.

Medians of several processes; peak resident memory as the system reports it for the finished process. The parts come
from the program's own report and from processes that do less.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
REPEATS = 7
PROGRAM = str(Path(sys.executable).with_name("onnxflow"))


def timed(command: list[str], folder: str) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds and standard output of a process."""
    before = os.times()
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    wall = time.perf_counter() - started
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, done.stdout


def row(name: str, command: list[str], folder: str) -> list[str]:
    """Time a command and print its line; the outputs of all its runs."""
    runs = [timed(command, folder) for _ in range(REPEATS)]
    wall, cpu = (statistics.median(run[i] for run in runs) for i in (0, 1))
    print(f"{name:<44} {wall:7.3f} s wall {cpu:7.3f} s CPU")
    return [run[2] for run in runs]


def main() -> None:
    """Print the table."""
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} cores, medians of {REPEATS}")
    with tempfile.TemporaryDirectory() as folder:
        workflow = str(ROOT / "workflows" / "txt2img.json")
        row("onnxflow --help (required <= 0.25)", [PROGRAM, "--help"], folder)
        row("python -c pass", [sys.executable, "-c", "pass"], folder)
        row("  and import numpy", [sys.executable, "-c", "import numpy"], folder)
        row("  and import onnxruntime", [sys.executable, "-c", "import numpy, onnxruntime"], folder)
        row("  and all node classes", [sys.executable, "-c", "import onnxruntime, onnxflow.api"], folder)
        draw = [PROGRAM, "run", workflow, "--json", "-q"]
        outputs = row("the picture, 128x128, 20 steps (required <= 3)", draw, folder)
        reports = [json.loads(output.splitlines()[-1])["data"] for output in outputs]
        for node in reports[0]["nodes"]:
            seconds = statistics.median(n["seconds"] for r in reports for n in r["nodes"] if n["node"] == node["node"])
            print(f"    {node['class_type']:<40} {seconds:7.3f} s")
        for session in reports[0]["sessions"]:
            same = [s for r in reports for s in r["sessions"] if s["component"] == session["component"]]
            load, run = (statistics.median(s[key] for s in same) for key in ("load_seconds", "run_seconds"))
            print(f"    {session['component']:<20} load {load:7.3f} s, {session['calls']} calls {run:7.3f} s")
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(f"peak resident memory of the largest process: {peak:.0f} MB (required <= 300)")


if __name__ == "__main__":
    main()

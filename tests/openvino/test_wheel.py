"""ONNX Runtime's OpenVINO build, alone in its environment: it has the provider, and draws on its CPU provider too."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import onnxruntime

ROOT = Path(__file__).parents[2]


def test_it_is_the_only_onnxruntime_and_has_the_provider() -> None:
    assert set(importlib.metadata.packages_distributions()["onnxruntime"]) == {"onnxruntime-openvino"}
    assert "OpenVINOExecutionProvider" in onnxruntime.get_available_providers()


def test_the_demo_workflow_runs(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "run", str(ROOT / "workflows" / "txt2img.json")],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path / 'output' / 'onnxflow_00001_.png'}\n"
    assert Path(done.stdout.strip()).is_file()
    assert re.search(
        r"text_encoder, unet, vae_decoder: fp32 on (cpu|openvino:cpu)\)", done.stderr
    )  # whichever is faster now

"""`onnxflow export` where PyTorch is not installed, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--engine", "torch"),
            ("--engine torch needs torch, diffusers, transformers, onnx, not installed here", "environment of its own"),
        ),
        (("--engine", "optimum"), ("needs torch, diffusers, transformers, onnx, optimum-onnx, not", "README")),
        (("--engine", "onnx"), ("unknown engine 'onnx'", "choose torch or optimum or template")),
    ],
)
def test_an_engine_that_is_not_there_says_how_to_get_it(
    tmp_path: Path, options: tuple[str, ...], words: tuple[str, ...]
) -> None:
    command = [sys.executable, "-P", "-m", "onnxflow", "export", "model", "-o", "bundle", *options]
    done = subprocess.run(
        command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert done.stdout == "" and "Traceback" not in done.stderr
    assert all(word in done.stderr for word in words)
    assert list(tmp_path.iterdir()) == []

"""`onnxflow verify`, as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from foreign_folder import write_foreign

from onnxflow.models.store import embedded_folder


def verify(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "verify", *map(str, arguments)],
        env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_embedded_model_computes_what_pytorch_computed() -> None:
    done = verify(embedded_folder())
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "all files and graphs are right"
    assert [line.split(": ")[0] for line in lines[:-1]] == [
        "text_encoder, fp32", "text_encoder, int8", "unet, fp32", "unet, int8", "vae_decoder, fp32",
        "vae_encoder, fp32",
    ]  # fmt: skip
    assert verify(embedded_folder(), "--quiet").stdout == ""


def test_an_altered_file_and_a_folder_that_is_none_are_said(tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(embedded_folder(), tmp_path / "mine"))
    path = bundle / "unet" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = verify(bundle)
    assert done.returncode == 1
    assert "the model's unet/model.onnx was altered" in done.stderr
    done = verify("onnxflow-tiny")
    assert done.returncode == 2
    assert "is no folder" in done.stderr


def test_a_folder_that_others_wrote_has_nothing_to_compare_with(tmp_path: Path) -> None:
    done = verify(write_foreign(tmp_path))
    assert done.returncode == 1 and done.stdout == ""
    assert "an Optimum or Diffusers folder: it stores neither" in done.stderr
    assert "onnxflow export" in done.stderr and "Traceback" not in done.stderr

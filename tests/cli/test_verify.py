"""`onnxflow verify`, as a user runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from foreign_folder import write_foreign

from onnxflow.models.store import embedded_folder


def verify(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "verify", *map(str, arguments)],
        env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_the_embedded_model_computes_what_pytorch_computed() -> None:
    done = verify("onnxflow-tiny")  # by its name; below by its folder
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "all files and graphs are right"
    assert [line.split(": ")[0] for line in lines[:-1]] == [
        "text_encoder, fp32", "text_encoder, int8", "unet, fp32", "unet, int8", "vae_decoder, fp32",
        "vae_encoder, fp32",
    ]  # fmt: skip
    assert verify(embedded_folder(), "--quiet").stdout == ""


@pytest.mark.parametrize(
    "name",
    [
        "text_encoder/model.int8.onnx", "text_encoder/token_embedding.npy", "tokenizer/merges.txt",
        "reference/unet.safetensors",
    ],
)  # fmt: skip
def test_a_missing_or_altered_file_is_named(tmp_path: Path, name: str) -> None:
    path = Path(shutil.copytree(embedded_folder(), tmp_path / "mine")) / name
    content = path.read_bytes()
    for changed, said in (
        (None, f"the model's file {name} is missing"),
        (content[:-1], f"the model's file {name} has {len(content) - 1:,} bytes, the manifest says {len(content):,}"),
        (content[:-1] + bytes([content[-1] ^ 1]), f"the model's {name} was altered"),
    ):
        path.unlink(missing_ok=True)
        if changed is not None:
            path.write_bytes(changed)
        done = verify(tmp_path / "mine")
        assert done.returncode == 1
        assert said in done.stderr
        assert f"  in: {tmp_path / 'mine'}" in done.stderr
        assert "Traceback" not in done.stderr and "all files" not in done.stdout


def test_an_altered_file_and_a_folder_that_is_none_are_said(tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(embedded_folder(), tmp_path / "mine"))
    path = bundle / "unet" / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    done = verify(bundle)
    assert done.returncode == 1
    assert "the model's unet/model.onnx was altered" in done.stderr
    done = verify("no-such-model")
    assert done.returncode == 2
    assert "is no folder, and there is no model 'no-such-model'" in done.stderr


def test_a_folder_that_others_wrote_has_nothing_to_compare_with(tmp_path: Path) -> None:
    done = verify(write_foreign(tmp_path))
    assert done.returncode == 1 and done.stdout == ""
    assert "an Optimum or Diffusers folder: it stores neither" in done.stderr
    assert "onnxflow export" in done.stderr and "Traceback" not in done.stderr


def test_on_a_device_that_there_is_not() -> None:
    import onnxruntime

    missing = "directml" if "DmlExecutionProvider" not in onnxruntime.get_available_providers() else "coreml"
    done = verify(embedded_folder(), "--on", missing, "-q")
    assert (done.returncode, done.stdout) == (3, "")
    assert "Traceback" not in done.stderr and "  try: " in done.stderr
    for name, words in (("cudda", "did you mean 'cuda'"), ("cpu:1", "cpu has one device only")):
        done = verify(embedded_folder(), "--on", name)
        assert (done.returncode, done.stdout) == (2, "") and words in done.stderr


def test_a_device_that_is_tried_is_named_but_not_with_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for quiet in ((), ("-q",)):
        monkeypatch.setenv("ONNXFLOW_CACHE", str(tmp_path / f"kept{len(quiet)}"))
        done = verify(embedded_folder(), "--on", "directml", *quiet)
        assert done.returncode == 3, done.stderr
        assert ("trying directml:0 ...\n" in done.stderr) == (not quiet)

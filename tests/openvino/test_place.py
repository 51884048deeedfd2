"""Placement on a second real execution provider: OpenVINO's CPU device, and its GPU where there is none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from onnxflow.models.store import embedded_folder

WORKFLOW = Path(__file__).parents[2] / "workflows" / "txt2img.json"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all: OpenVINO compiles each graph once."""
    return tmp_path_factory.mktemp("cache")


def onnxflow(*arguments: object, cwd: Path, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", *map(str, arguments)],
        cwd=cwd, env={**os.environ, "ONNXFLOW_CACHE": str(cache)},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def drawn(place: str, folder: Path, cache: Path, *flags: str) -> tuple[np.ndarray[Any, Any], dict[str, Any], Any]:
    """The picture, the report's sessions by component, and what the picture carries; with it what each node ran."""
    done = onnxflow("run", WORKFLOW, "--place", place, "--json", "-q", *flags, cwd=folder, cache=cache)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])["data"]
    with Image.open(report["files"][0]) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(np.int16)
        kept = json.loads(picture.info["onnxflow"])
    kept["nodes"] = {
        one["node"]: [(ran["component"], ran["device"]) for ran in one["ran"]]
        for one in report["nodes"]
        if "ran" in one
    }
    return pixels, {one["component"]: one for one in report["sessions"]}, kept


def refused(done: subprocess.CompletedProcess[str], folder: Path, *words: str) -> None:
    assert done.returncode == 3, done.stderr
    assert "Traceback" not in done.stderr and done.stdout == "" and "  try: " in done.stderr
    for word in words:
        assert word in done.stderr
    assert not list(folder.rglob("*.png"))


def test_it_computes_what_pytorch_computed(tmp_path: Path, cache: Path) -> None:
    done = onnxflow("verify", embedded_folder(), "--on", "openvino", cwd=tmp_path, cache=cache)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines[:-1]] == [
        f"{name}, fp32 on openvino:cpu" for name in ("text_encoder", "unet", "vae_decoder", "vae_encoder")
    ]
    assert lines[-1] == "all files and graphs are right"
    assert "openvino:cpu" in (cache / "verdicts.json").read_text()


def test_a_model_of_which_it_takes_nothing_is_not_called_right(tmp_path: Path, cache: Path) -> None:
    bundle = Path(shutil.copytree(embedded_folder(), tmp_path / "mine"))
    document = json.loads((bundle / "onnxflow.json").read_text("utf-8"))
    for component in document["components"].values():
        component["variants"] = {"int8": component["variants"].get("int8", component["variants"]["fp32"])}
    (bundle / "onnxflow.json").write_text(json.dumps(document))
    done = onnxflow("verify", bundle, "--on", "openvino", "-q", cwd=tmp_path, cache=cache)
    refused(done, tmp_path, "openvino:cpu takes none of the variants", "it takes fp32, fp16, int8-static")


def test_it_draws_the_cpus_picture_and_keeps_what_it_compiled(tmp_path: Path, cache: Path) -> None:
    expected, sessions, _ = drawn("*=cpu", tmp_path, cache)
    assert {one["device"] for one in sessions.values()} == {"cpu"}
    found, sessions, kept = drawn("*=openvino", tmp_path, cache)
    assert np.abs(found - expected).max() <= 2
    assert {name: one["device"] for name, one in sessions.items()} == dict.fromkeys(
        ("text_encoder", "unet", "vae_decoder"), "openvino:cpu"
    )
    assert kept["time"] == {"openvino": 100}
    compiled = {path.parent.name.split("-")[2] for path in (cache / "compiled").rglob("*.blob")}
    assert {"text_encoder", "unet", "vae_decoder"} <= compiled
    blobs = sorted((cache / "compiled").rglob("*.blob"))
    drawn("*=openvino", tmp_path, cache)
    assert sorted((cache / "compiled").rglob("*.blob")) == blobs, "the second run takes what is there"


def test_one_run_on_both(tmp_path: Path, cache: Path) -> None:
    _, sessions, kept = drawn("unet=openvino,vae=cpu,clip=cpu", tmp_path, cache)
    assert {name: one["device"] for name, one in sessions.items()} == {
        "text_encoder": "cpu", "unet": "openvino:cpu", "vae_decoder": "cpu",
    }  # fmt: skip
    nodes = {name: one["nodes"] for name, one in sessions.items()}
    assert nodes["text_encoder"].keys() == nodes["vae_decoder"].keys() == {"cpu"}
    assert nodes["unet"]["openvino"] > 100 and next(iter(nodes["unet"])) == "openvino"
    assert kept["nodes"] == {
        "2": [("text_encoder", "cpu")], "3": [("text_encoder", "cpu")],
        "5": [("unet", "openvino:cpu")], "6": [("vae_decoder", "cpu")],
    }  # fmt: skip
    assert "elsewhere" not in sessions["unet"], "no heavy node was left to the CPU"
    (unet,) = (one for one in kept["sessions"] if one["component"] == "unet")
    assert unet["asked"].startswith("openvino:cpu (--place unet=openvino") and unet["nodes"]["openvino"] > 50
    assert set(kept["time"]) == {"openvino", "cpu"} and 99 <= sum(kept["time"].values()) <= 101


def test_a_gpu_that_is_not_there_is_refused_before_anything_is_drawn(tmp_path: Path, cache: Path) -> None:
    if Path("/dev/dri").exists():
        pytest.skip("there may be a GPU here")
    done = onnxflow("run", WORKFLOW, "--place", "unet=openvino:gpu", cwd=tmp_path, cache=cache)
    # The trial runs on the CPU then: why is only in what ONNX Runtime logged.
    why = "openvino:gpu cannot be used: OpenVINO finds no Intel GPU, or no driver for it"
    refused(done, tmp_path, why, "at: node 5", "try: sudo apt-get install intel-opencl-icd")
    done = onnxflow("verify", embedded_folder(), "--on", "openvino:gpu", "-q", cwd=tmp_path, cache=cache)
    refused(done, tmp_path, "openvino:gpu cannot be used")
    _, sessions, _ = drawn("unet=openvino:gpu", tmp_path, cache, "--fallback", "allow")
    assert sessions["unet"]["device"] == "cpu" and "openvino:gpu cannot be used" in sessions["unet"]["note"]


def test_int8_which_would_end_the_process_is_refused(tmp_path: Path, cache: Path) -> None:
    for component, flags in (
        ("unet", ("--place", "unet=openvino", "--set", "1.ckpt_name=onnxflow-tiny@int8")),
        ("text_encoder", ("--place", "clip=openvino@int8")),
    ):
        done = onnxflow("run", WORKFLOW, *flags, cwd=tmp_path, cache=cache)
        refused(done, tmp_path, f"the {component} of onnxflow-tiny is wanted in int8", "openvino:cpu takes fp32")

"""WebGPU's plug-in: refused where there is no GPU, and drawing over a Vulkan driver, real or SwiftShader's.

scripts/test-webgpu runs the first kind as the machine is, and the others where a GPU is to be seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import onnxflow

ROOT = Path(__file__).parents[2]
TXT2IMG = ROOT / "workflows" / "txt2img.json"
TINY = Path(onnxflow.__path__[0]) / "assets" / "tiny"
GPU = os.path.isdir("/sys/class/drm/card0")
QUICK = ("--set", "5.steps=3")
"""A step takes seconds over a Vulkan driver that computes on the CPU."""

COMPILE_ONLY = """
import onnxruntime as ort, onnxruntime_ep_webgpu as plugin, sys
ort.register_execution_provider_library("webgpu.virtual", plugin.get_library_path())
(device,) = [one for one in ort.get_ep_devices() if one.ep_name == plugin.get_ep_name()]
assert dict(device.device.metadata)["is_virtual"] == "1"
options = ort.SessionOptions()
options.log_severity_level = 4
options.add_provider_for_devices([device], {})
if sys.argv[2] == "compile":
    options.add_session_config_entry("session.compile_only", "1")
ort.InferenceSession(sys.argv[1], options, enable_fallback=0)
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=600,
        env={**os.environ, "ONNXFLOW_CACHE": str(folder / "cache")},
    )  # fmt: skip


@pytest.mark.skipif(GPU, reason="there is a GPU to be seen")
def test_without_a_gpu_it_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    done = run(tmp_path, "run", str(TXT2IMG), "--place", "unet=webgpu")
    assert (done.returncode, done.stdout) == (3, "")
    assert "webgpu" in done.stderr and "try: " in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "output").exists()
    assert "KSampler (5):" not in done.stderr
    allowed = run(tmp_path, "run", str(TXT2IMG), "--place", "unet=webgpu", "--fallback", "allow", "--set", "5.steps=1")
    assert allowed.returncode == 0
    assert "unet: asked for webgpu (--place unet=webgpu), ran in fp32 on cpu: " in allowed.stderr


@pytest.mark.skipif(GPU, reason="there is a GPU to be seen")
@pytest.mark.parametrize("way", ["compile", "run"])
def test_its_virtual_device_is_refused_by_the_plug_in_itself(way: str) -> None:
    """It only compiles, says ONNX Runtime; the plug-ins released so far (0.3.0, 0.4.0) end the process when they are
    asked to. When one does not any more, this test says so, and there is something to compile for."""
    graph = str(TINY / "vae_decoder" / "model.onnx")
    done = subprocess.run(
        [sys.executable, "-P", "-c", COMPILE_ONLY, graph, way], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode != 0
    words = "BufferManager" if way == "compile" else "virtual GPU device, which has no real GPU behind it"
    assert words in done.stderr


@pytest.mark.skipif(not GPU, reason="there is no GPU to be seen")
def test_it_draws_what_the_cpu_draws(tmp_path: Path) -> None:
    pictures = []
    for place in ("cpu", "webgpu"):
        done = run(tmp_path, "run", str(TXT2IMG), *QUICK, "--place", f"*={place}", "--json")
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout.splitlines()[-1])["data"]
        pictures.append(np.asarray(Image.open(report["files"][0]), np.int16))
        assert {use["device"] for use in report["sessions"]} == {place}
        assert next(iter(report["time"])) == place
    assert np.abs(pictures[0] - pictures[1]).max() <= 2
    for use in report["sessions"]:
        assert use["nodes"]["webgpu"] > use["nodes"].get("cpu", 0), "what computes sizes is on the CPU, and only that"
        assert "elsewhere" not in use


@pytest.mark.skipif(not GPU, reason="there is no GPU to be seen")
def test_a_workflow_is_split_over_both(tmp_path: Path) -> None:
    done = run(tmp_path, "run", str(TXT2IMG), *QUICK, "--place", "unet=webgpu,clip=cpu,vae=cpu", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])["data"]
    assert {use["component"]: use["device"] for use in report["sessions"]} == {
        "text_encoder": "cpu",
        "unet": "webgpu",
        "vae_decoder": "cpu",
    }


@pytest.mark.skipif(not GPU, reason="there is no GPU to be seen")
def test_its_answers_are_pytorchs(tmp_path: Path) -> None:
    """Over SwiftShader its own kernel for attention is wrong: the trial finds that, and attention is split."""
    done = run(tmp_path, "verify", str(TINY), "--on", "webgpu")
    assert done.returncode == 0, done.stderr
    assert "unet, fp32 on webgpu" in done.stdout and "all files and graphs are right" in done.stdout

"""Every workflow that is shipped runs as it is, in a real process, on the embedded model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WORKFLOWS = Path(__file__).parents[2] / "workflows"
VARIANTS = {"txt2img_int8.json": "text_encoder, unet: int8"}  # what the last lines say ran; fp32 where nothing stands


@pytest.mark.parametrize("name", sorted(path.name for path in WORKFLOWS.glob("*.json")))
def test_it_draws_a_picture(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", "run", str(WORKFLOWS / name)],
        cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert VARIANTS.get(name, "fp32") in done.stderr
    (path,) = done.stdout.splitlines()
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(np.float32)
    assert pixels.shape == (128, 128, 3)
    assert pixels.std(axis=(0, 1)).max() > 20  # something is drawn on something: neither black nor one flat colour

"""A whole run loads no PyTorch: this runs in both environments, also in the one where PyTorch could be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOREIGN = ("torch", "transformers", "diffusers", "optimum", "onnx", "onnxscript", "accelerate")


def test_drawing_a_picture_loads_no_torch(tmp_path: Path) -> None:
    code = f"""
import sys, onnxflow
report = onnxflow.run({str(ROOT / "workflows" / "txt2img.json")!r}, output_dir={str(tmp_path)!r})
print(len(report.images), [m for m in {FOREIGN!r} if m in sys.modules], "onnxruntime" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.stdout == "1 [] True\n", done.stderr
    assert len(list(tmp_path.rglob("*.png"))) == 1

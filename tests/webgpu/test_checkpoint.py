"""A .safetensors file on WebGPU: products with matrices as they are stored become nodes that it knows."""

from __future__ import annotations

import os

import pytest
from tiny_checkpoint import apart


@pytest.mark.skipif(not os.path.isdir("/sys/class/drm/card0"), reason="there is no GPU to be seen")
def test_a_checkpoint_computes_what_it_does_on_the_cpu() -> None:
    found = apart("webgpu", split=os.environ.get("ONNXFLOW_TEST_GPU") == "swiftshader")  # as the trial finds
    assert len(found) == 7 and max(found.values()) < 1e-4, found
    assert max(found.values()) > 0, "two providers do not agree to the last bit"

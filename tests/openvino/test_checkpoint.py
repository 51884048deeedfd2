"""A .safetensors file on OpenVINO: products with matrices as they are stored become nodes that it knows."""

from __future__ import annotations

from tiny_checkpoint import apart


def test_a_checkpoint_computes_what_it_does_on_the_cpu() -> None:
    found = apart("openvino")
    assert len(found) == 7 and max(found.values()) < 1e-4, found
    assert max(found.values()) > 0, "two providers do not agree to the last bit"

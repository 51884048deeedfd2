"""Which distribution brings a provider."""

from __future__ import annotations

import pytest

from onnxflow.providers import wheels
from onnxflow.providers.wheels import wheel_of


@pytest.mark.parametrize(
    ("installed", "provider", "found"),
    [
        ({"onnxruntime-openvino": "1.24.1", "onnxruntime-ep-openvino": "1.8.1"}, "openvino", "onnxruntime-openvino"),
        ({"onnxruntime": "1.31.1", "onnxruntime-ep-openvino": "1.8.1"}, "openvino", "onnxruntime-ep-openvino"),
        ({"onnxruntime-gpu": "1.31.1"}, "cpu", "onnxruntime-gpu"),
        ({"onnxruntime": "1.31.1"}, "cuda", ""),
    ],
)
def test_a_wheel_with_the_provider_inside_comes_before_a_plug_in(
    installed: dict[str, str], provider: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wheels, "installed", lambda: installed)
    assert wheel_of(provider) == (found, installed.get(found, ""))

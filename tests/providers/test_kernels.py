"""What each provider's table of kernels lacks of the embedded model's graphs, as they are given to it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import pytest
from fake_onnxruntime import CPU_EP
from onnx_nodes import operators_in

from onnxflow.models.decompose import without_fused_attention
from onnxflow.models.store import embedded_folder
from onnxflow.providers.assignment import HEAVY
from onnxflow.providers.catalog import PROVIDERS, provider_names
from onnxflow.providers.opening import FUSED
from onnxflow.providers.provider import Provider

GRAPHS = ("text_encoder", "unet", "vae_decoder", "vae_encoder")
NOTHING: dict[str, str] = {}
LACKING: dict[str, dict[str, str]] = {
    "cpu": NOTHING,
    "cuda": NOTHING,
    "tensorrt": NOTHING,
    "directml": NOTHING,
    "coreml": NOTHING,
    "openvino": NOTHING,
    "qnn": NOTHING,
    "webgpu": NOTHING,
    "migraphx": NOTHING,
    "xnnpack": {
        "text_encoder": "LayerNormalization Sigmoid",
        "unet": "Erf InstanceNormalization LayerNormalization Sigmoid",
        "vae_decoder": "InstanceNormalization Sigmoid",
        "vae_encoder": "InstanceNormalization Sigmoid",
    },
    "acl": {
        "text_encoder": "LayerNormalization Sigmoid Softmax",
        "unet": "Erf InstanceNormalization LayerNormalization Resize Sigmoid Softmax",
        "vae_decoder": "InstanceNormalization Resize Sigmoid Softmax",
        "vae_encoder": "InstanceNormalization Sigmoid Softmax",
    },
}
"""By provider and component: heavy operators that the CPU would be left with. A graph that has any is refused there
unless the CPU may help."""


@lru_cache
def heavy(component: str, fused: bool) -> frozenset[str]:
    path: Path = embedded_folder() / component / "model.onnx"
    found = operators_in(path.read_bytes() if fused else without_fused_attention(path))
    return frozenset(operator for operator in found if operator.rpartition(":")[2] in HEAVY)


@pytest.mark.parametrize("facts", PROVIDERS, ids=provider_names())
def test_what_is_lacking(facts: Provider) -> None:
    lacking = {}
    for component in GRAPHS:
        missing = [one for one in heavy(component, facts.has(FUSED)) if not facts.has(one)]
        if missing:
            lacking[component] = " ".join(sorted(missing))
    assert lacking == LACKING[facts.name]


def test_heavy_operators_are_seen_in_every_graph() -> None:
    assert FUSED in heavy("unet", True) and FUSED not in heavy("unet", False)
    assert heavy("unet", False) >= {"Conv", "MatMul", "Softmax"}
    assert all(len(heavy(component, False)) >= 4 for component in GRAPHS)
    assert PROVIDERS[0].ep == CPU_EP

"""While a component runs, the weights of the next one are asked for, if it will run and there is room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onnxflow.api import run
from onnxflow.models.bundle import Bundle
from onnxflow.providers.placement import Placer


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(Bundle, "read_ahead", lambda self, component: found.append(component))
    return found


def workflow(*, samples: bool = True) -> dict[str, Any]:
    nodes: dict[str, Any] = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "onnxflow-tiny"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a star", "clip": ["1", 1]}},
        "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "9": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
    }
    if samples:
        sampler = {"seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
        links = {"model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent_image": ["3", 0]}
        nodes["4"] = {"class_type": "KSampler", "inputs": {**sampler, **links}}
        nodes["5"] = {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}}
        nodes["6"] = {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "x"}}
    return nodes


def test_the_next_component_is_asked_for(tmp_path: Path, asked: list[str]) -> None:
    run(workflow(), output_dir=tmp_path)
    assert list(dict.fromkeys(asked)) == ["unet", "vae_decoder"]


def test_not_one_that_will_not_run(tmp_path: Path, asked: list[str]) -> None:
    run(workflow(samples=False), output_dir=tmp_path)
    assert asked == []


@pytest.mark.parametrize("free", [None, 10])
def test_not_without_room(tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch, free: int | None) -> None:
    monkeypatch.setattr(Placer, "free_memory", lambda self: free)
    run(workflow(), output_dir=tmp_path)
    assert asked == []

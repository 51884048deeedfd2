"""What a run would do: every class that loads a model is known, and each network has the model that reaches it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fakes import disk_at

from onnxflow.engine.outline import _LOADERS, outline
from onnxflow.engine.places import COMPONENTS, Placing, places
from onnxflow.engine.plan import make_plan
from onnxflow.models.store import EMBEDDED_NAME
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.workflow.check import check
from onnxflow.workflow.read import workflow_from_document


def test_every_class_that_loads_a_model_is_known() -> None:
    catalog = builtin_catalog()
    loaders = {
        name
        for name, spec in catalog.items()
        if any(o.type in COMPONENTS for o in spec.outputs) and not any(i.type in COMPONENTS for i in spec.inputs)
    }
    assert _LOADERS.keys() == loaders
    for name, (_, inputs) in _LOADERS.items():
        assert set(inputs) <= catalog[name].by_name.keys()


def test_models_reach_their_networks_through_other_nodes(tmp_path: Path) -> None:
    sampled: dict[str, Any] = {
        "seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
    }  # fmt: skip
    workflow = workflow_from_document({
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": EMBEDDED_NAME}},
        "2": {"class_type": "CLIPSetLastLayer", "inputs": {"clip": ["1", 1], "stop_at_clip_layer": -1}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["2", 0], "text": "a"}},
        "4": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["2", 0], "text": "a"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "6": {"class_type": "ModelSamplingDiscrete", "inputs": {"model": ["1", 0], "sampling": "eps", "zsnr": False}},
        "7": {"class_type": "KSampler", "inputs": {
            "model": ["6", 0], "positive": ["3", 0], "negative": ["4", 0], "latent_image": ["5", 0], **sampled,
        }},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["7", 0], "vae": ["1", 2]}},
        "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
    })  # fmt: skip
    disk = disk_at(tmp_path)
    checked = check(workflow, builtin_catalog(), disk)
    placed = places(checked, workflow, Placing())
    found = {step.id: step for step in outline(make_plan(checked, disk, placed=placed), disk, placed)}
    runs = {node: [(used.component, used.model) for used in step.runs] for node, step in found.items() if step.runs}
    assert runs == {
        "3": [("text_encoder", EMBEDDED_NAME)], "4": [("text_encoder", EMBEDDED_NAME)],
        "7": [("unet", EMBEDDED_NAME)], "8": [("vae_decoder", EMBEDDED_NAME)],
    }  # fmt: skip
    assert found["4"].same == "3" and found["9"].output and found["7"].reads == ("6", "3", "4", "5")

"""`onnxflow.run`, the library's front door, with the embedded model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import onnxflow
from onnxflow.engine.events import Event
from onnxflow.errors import UsageError, WorkflowError

TXT2IMG = Path(__file__).parent.parent / "workflows" / "txt2img.json"
QUICK = {"5.steps": 2}


def test_pictures_come_back_as_arrays_and_files(tmp_path: Path) -> None:
    events: list[Event] = []
    report = onnxflow.run(TXT2IMG, overrides={**QUICK, "4.batch_size": 2}, output_dir=tmp_path, listener=events.append)
    assert [image.shape for image in report.images] == [(128, 128, 3), (128, 128, 3)]
    assert [image.dtype for image in report.images] == [np.uint8, np.uint8]
    assert [file.path.name for file in report.saved] == ["onnxflow_00001_.png", "onnxflow_00002_.png"]
    assert events[-2].type == "execution_success"
    assert {use.component: use.device for use in report.sessions} == {
        "text_encoder": "cpu",
        "unet": "cpu",
        "vae_decoder": "cpu",
    }


def test_a_parsed_workflow_and_a_seed(tmp_path: Path) -> None:
    document = json.loads(TXT2IMG.read_text())
    one = onnxflow.run(document, overrides=QUICK, seed=3, output_dir=tmp_path)
    two = onnxflow.run(str(TXT2IMG), overrides={**QUICK, "KSampler.seed": 3}, output_dir=tmp_path)
    three = onnxflow.run(document, overrides=QUICK, seed=4, output_dir=tmp_path)
    assert np.array_equal(one.images[0], two.images[0])
    assert not np.array_equal(one.images[0], three.images[0])
    assert one.document["5"]["inputs"]["seed"] == 3
    assert document["5"]["inputs"]["seed"] == 7, "the caller's object is left alone"


def test_two_samplers_in_a_row_replay_the_whole_run(tmp_path: Path) -> None:
    """KSamplerAdvanced stopped half way with its noise left over, then continued, draws what one KSampler draws."""
    document = json.loads(TXT2IMG.read_text())
    whole = onnxflow.run(document, overrides={"5.steps": 6, "5.sampler_name": "euler"}, output_dir=tmp_path)
    advanced = {k: v for k, v in document["5"]["inputs"].items() if k not in ("seed", "denoise")}
    advanced |= {"noise_seed": 7, "steps": 6, "sampler_name": "euler"}
    first = {"add_noise": "enable", "start_at_step": 0, "end_at_step": 3, "return_with_leftover_noise": "enable"}
    second = {"add_noise": "disable", "start_at_step": 3, "end_at_step": 10000, "return_with_leftover_noise": "disable"}
    document["5"] = {"class_type": "KSamplerAdvanced", "inputs": {**advanced, **first}}
    document["9"] = {"class_type": "KSamplerAdvanced", "inputs": {**advanced, **second, "latent_image": ["5", 0]}}
    document["6"]["inputs"]["samples"] = ["9", 0]
    parts = onnxflow.run(document, output_dir=tmp_path)
    difference = np.abs(whole.images[0].astype(int) - parts.images[0].astype(int))
    assert difference.max() <= 1


def test_latents_saved_and_loaded_decode_to_the_same_picture(tmp_path: Path) -> None:
    document = json.loads(TXT2IMG.read_text())
    document["5"]["inputs"]["steps"] = 2
    document["9"] = {"class_type": "SaveLatent", "inputs": {"samples": ["5", 0], "filename_prefix": "l"}}
    first = onnxflow.run(document, output_dir=tmp_path)
    (latent,) = [file.path for file in first.saved if file.path.suffix == ".latent"]
    again = {k: document[k] for k in ("1", "6", "7")}
    again["9"] = {"class_type": "LoadLatent", "inputs": {"latent": latent.name}}
    again["6"]["inputs"]["samples"] = ["9", 0]
    second = onnxflow.run(again, input_dir=tmp_path, output_dir=tmp_path)
    assert np.array_equal(first.images[0], second.images[0])


def test_errors_are_raised_as_ours(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        onnxflow.run(TXT2IMG, overrides={"steps": 2}, output_dir=tmp_path)
    with pytest.raises(WorkflowError) as caught:
        onnxflow.run(TXT2IMG, overrides={"5.steps": 0, "4.width": 1}, output_dir=tmp_path)
    assert [problem.code for problem in caught.value.problems] == ["value_smaller_than_min"] * 2
    with pytest.raises(WorkflowError):
        onnxflow.run({"not": "a workflow"}, output_dir=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"fallback": True}, ["fallback is True", "'refuse', 'allow'"]),
        ({"fallback": "alow"}, ["fallback is 'alow'", "'refuse', 'allow'"]),
        ({"on_nan": None}, ["on_nan is None", "'error', 'upcast'"]),
        ({"on_nan": np.zeros(2)}, ["on_nan is array", "'error', 'upcast'"]),
        ({"place": None}, ["place is None", '"unet=cuda:0,vae=cpu"']),
        ({"place": 7}, ["place is 7", '{"unet": "cuda:0"}']),
        ({"place": [1]}, ["place has 1 in it", "a mapping"]),
        ({"place": b"cpu"}, ["place has 99 in it"]),
        ({"place": {"unet": None}}, ["place has 'unet': None"]),
        ({"place": {5: "cpu"}}, ["place has 5: 'cpu'"]),
        ({"place": {"unet": "cpu,vae=cpu"}}, ["place has 'unet': 'cpu,vae=cpu'"]),
        ({"place": {"unnet": "cpu"}}, ["no component 'unnet'", "did you mean 'unet'"]),
    ],
)
def test_arguments_that_make_no_sense_are_named(arguments: dict[str, Any], words: list[str], tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        onnxflow.run(TXT2IMG, output_dir=tmp_path, **arguments)
    assert all(word in caught.value.render() for word in words), caught.value.render()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "place", ["unet=cpu@int8,6=cpu", ["unet=cpu@int8", "6=cpu"], {"unet": "cpu@int8", "6": "cpu"}], ids=str
)
def test_places_are_texts_or_a_mapping(place: Any, tmp_path: Path) -> None:
    report = onnxflow.run(TXT2IMG, overrides={**QUICK, "4.width": 64, "4.height": 64}, output_dir=tmp_path, place=place)
    assert {use.component: (use.variant, use.asked != "auto") for use in report.sessions} == {
        "text_encoder": ("fp32", False), "unet": ("int8", True), "vae_decoder": ("fp32", True),
    }  # fmt: skip


@pytest.mark.parametrize("jobs", [0, -1, 1.5, "2"])
def test_jobs_that_make_no_sense(jobs: Any) -> None:
    with pytest.raises(UsageError, match="jobs is"):
        onnxflow.run(TXT2IMG, jobs=jobs)


def test_nodes_beside_each_other_draw_the_same(tmp_path: Path) -> None:
    one = onnxflow.run(TXT2IMG, overrides=QUICK, output_dir=tmp_path)
    many = onnxflow.run(TXT2IMG, overrides=QUICK, output_dir=tmp_path, jobs=3)
    assert np.array_equal(one.images[0], many.images[0])
    assert {use.component for use in many.sessions} == {"text_encoder", "unet", "vae_decoder"}

"""Loaders, sampling and VAE nodes together, over sessions that compute with Python functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from fakes import FakeLoader, disk_at, int8_model, workflow

from onnxflow.engine.cache import ResultCache
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import run_workflow
from onnxflow.errors import InputError
from onnxflow.models.disk import example_folder
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.vae import cropped
from onnxflow.providers.session import SessionCache
from onnxflow.workflow.read import read_workflow, workflow_from_document

CATALOG = builtin_catalog()


def nodes(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "m": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
        "p": ("CLIPTextEncode", {"text": "a star", "clip": ("m", 1)}),
        "n": ("CLIPTextEncode", {"text": "", "clip": ("m", 1)}),
        "l": ("EmptyLatentImage", {"width": 64, "height": 32, "batch_size": 2}),
        "k": (
            "KSampler",
            {
                "model": ("m", 0), "seed": 1, "steps": 3, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal",
                "positive": ("p", 0), "negative": ("n", 0), "latent_image": ("l", 0), "denoise": 1.0,
            },
        ),
        "d": ("VAEDecode", {"samples": ("k", 0), "vae": ("m", 2)}),
        "s": ("SaveImage", {"images": ("d", 0), "filename_prefix": "x"}),
    }  # fmt: skip
    for name, inputs in changes.items():
        found[name] = (found[name][0], {**found[name][1], **inputs})
    return found


def run(folder: Path, graph: dict[str, Any]) -> tuple[RunReport, FakeLoader, list[str]]:
    loader = FakeLoader()
    closed_at: list[str] = []

    def listen(event: Any) -> None:
        if event.type == "executing" and event.data["node"]:
            done = [name for name, loaded in loader.graphs.items() if loaded.closed]
            closed_at.append(f"{event.data['node']}:{','.join(done)}")

    report = run_workflow(workflow(**graph), CATALOG, disk_at(folder), SessionCache(loader), listeners=[listen])
    return report, loader, closed_at


def test_a_session_is_opened_late_and_closed_with_the_last_node_that_could_use_it(tmp_path: Path) -> None:
    report, loader, closed_at = run(tmp_path, nodes())
    assert loader.loaded == ["text_encoder", "unet", "vae_decoder"]
    assert [image.shape for image in report.images] == [(32, 64, 3)] * 2
    assert closed_at[-2:] == ["d:text_encoder,unet", "s:text_encoder,unet,vae_decoder"]
    assert [use.calls for use in report.sessions] == [2, 3, 2]


def test_a_second_equal_loader_keeps_no_session_open(tmp_path: Path) -> None:
    graph = nodes(k={"model": ("m2", 0)})
    graph["m2"] = graph["m"]
    _, _, closed_at = run(tmp_path, graph)
    assert closed_at[-2:] == ["d:text_encoder,unet", "s:text_encoder,unet,vae_decoder"]


def test_with_a_cache_the_sessions_of_volatile_nodes_stay_open(tmp_path: Path) -> None:
    loader = FakeLoader()
    sessions = SessionCache(loader)
    cache = ResultCache()
    volatile = frozenset({"k", "d", "s"})
    for seed in (1, 2):
        graph = workflow(**nodes(k={"seed": seed}))
        report = run_workflow(graph, CATALOG, disk_at(tmp_path), sessions, cache=cache, volatile=volatile)
        assert {name for name, loaded in loader.graphs.items() if loaded.closed} == {"text_encoder"}
        assert len(cache) == 4, "loader, two prompts, empty latent"
    assert loader.loaded == ["text_encoder", "unet", "vae_decoder"]
    assert [use.component for use in report.ran] == ["unet", "vae_decoder"]
    assert [(use.component, use.calls) for use in report.recalled] == [("text_encoder", 2)], "both prompts"
    assert report.sessions == report.ran + report.recalled


def test_two_variants_of_a_model_are_two_models(tmp_path: Path) -> None:
    graph = nodes(m={"ckpt_name": "mine@int8"}, d={"vae": ("m2", 2)})
    graph["m2"] = ("CheckpointLoaderSimple", {"ckpt_name": "mine"})
    graph["k2"] = (graph["k"][0], {**graph["k"][1], "model": ("m2", 0), "latent_image": ("k", 0)})
    graph["d"][1]["samples"] = ("k2", 0)
    loader = FakeLoader()
    disk = disk_at(tmp_path, int8_model(tmp_path / "models", "mine"))
    report = run_workflow(workflow(**graph), CATALOG, disk, SessionCache(loader))
    expected = [("text_encoder", "int8"), ("unet", "int8"), ("unet", "fp32"), ("vae_decoder", "fp32")]
    assert list(zip(loader.loaded, loader.variants, strict=True)) == expected
    assert [(use.component, use.variant) for use in report.sessions] == expected


def test_what_two_variants_share_is_loaded_once(tmp_path: Path) -> None:
    graph = nodes(m={"ckpt_name": "mine@int8"})
    graph["m2"] = ("CheckpointLoaderSimple", {"ckpt_name": "mine"})
    graph["k2"] = (graph["k"][0], {**graph["k"][1], "model": ("m2", 0), "latent_image": ("k", 0)})
    graph["d"][1]["samples"] = ("k2", 0)
    graph["d2"] = (graph["d"][0], {"samples": ("k", 0), "vae": ("m2", 2)})
    graph["s2"] = (graph["s"][0], {**graph["s"][1], "images": ("d2", 0)})
    loader = FakeLoader()
    disk = disk_at(tmp_path, int8_model(tmp_path / "models", "mine"))
    report = run_workflow(workflow(**graph), CATALOG, disk, SessionCache(loader))
    assert loader.loaded == ["text_encoder", "unet", "unet", "vae_decoder"]
    assert len(report.images) == 4
    assert {name for name, loaded in loader.graphs.items() if loaded.closed} == {"text_encoder", "unet", "vae_decoder"}


def test_the_shipped_inpainting_redraws_what_is_transparent_and_keeps_the_rest(tmp_path: Path) -> None:
    document = dict(read_workflow(Path(__file__).parents[2] / "workflows" / "inpaint.json").document)
    document["d"] = {"class_type": "VAEDecode", "inputs": {"samples": ["8", 0], "vae": ["1", 2]}}
    document["s"] = {"class_type": "SaveImage", "inputs": {"images": ["d", 0], "filename_prefix": "before"}}
    report = run_workflow(workflow_from_document(document), CATALOG, disk_at(tmp_path), SessionCache(FakeLoader()))
    pictures = {saved.path.name: image for saved, image in zip(report.saved, report.images, strict=True)}
    before, after = pictures["before_00001_.png"], pictures["onnxflow_inpaint_00001_.png"]
    with PIL.Image.open(example_folder() / "landscape.png") as picture:
        transparent = np.asarray(picture.getchannel("A")) == 0
    assert before.shape[:2] == after.shape[:2] == transparent.shape
    assert np.array_equal(before[~transparent], after[~transparent])
    assert (before != after).any(axis=2)[transparent].mean() > 0.99


def test_cfg_1_asks_the_network_once_a_step_and_denoise_0_not_at_all(tmp_path: Path) -> None:
    rows: list[int] = []
    original = FakeLoader.unet

    class Counting(FakeLoader):
        @staticmethod
        def unet(feeds: Any) -> Any:
            rows.append(len(feeds["sample"]))
            assert feeds["mid_residual"].shape == (1, 1, 1, 1)
            return original(feeds)

    for cfg, expected in ((1.0, [2, 2, 2]), (2.0, [4, 4, 4])):
        rows.clear()
        graph = workflow(**nodes(k={"cfg": cfg}))
        run_workflow(graph, CATALOG, disk_at(tmp_path), SessionCache(Counting()))
        assert rows == expected
    _, loader, _ = run(tmp_path, nodes(k={"denoise": 0.0}))
    assert loader.loaded == ["text_encoder", "vae_decoder"]


def test_a_latent_of_another_model_is_named(tmp_path: Path) -> None:
    from onnxflow.models.tensors import encode_tensors

    (tmp_path / "input").mkdir()
    latent = {"latent_tensor": np.ones((1, 16, 4, 4), np.float32), "latent_format_version_0": np.zeros(0, np.float32)}
    (tmp_path / "input" / "flux.latent").write_bytes(encode_tensors(latent))
    graph = nodes()
    graph["l"] = ("LoadLatent", {"latent": "flux.latent"})
    with pytest.raises(InputError, match="16 channels"):
        run(tmp_path, graph)
    # An empty one says nothing of a model: it gets the channels that this one takes.
    latent["latent_tensor"] = np.zeros((1, 16, 4, 4), np.float32)
    (tmp_path / "input" / "flux.latent").write_bytes(encode_tensors(latent))
    report, _, _ = run(tmp_path, graph)
    assert report.images[0].shape == (32, 32, 3)


def test_pictures_are_cropped_around_their_middle_before_encoding(tmp_path: Path) -> None:
    pixels = np.arange(19 * 21, dtype=np.float32).reshape(1, 19, 21, 1).repeat(3, axis=3)
    found = cropped(pixels, 8)
    assert found.shape == (1, 16, 16, 3)
    assert found[0, 0, 0, 0] == pixels[0, 1, 2, 0]
    with pytest.raises(InputError, match="7 x 64 pixels"):
        cropped(np.zeros((1, 64, 7, 3), np.float32), 8)

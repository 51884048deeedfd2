"""OnnxPlaceModel, OnnxPlaceClip, OnnxPlaceVae, and whole runs in several places over sessions that are made up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from fakes import FakeGraph, FakeLoader, FakeMachine, disk_at, int8_model, workflow
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.engine.record import described
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import run_workflow
from onnxflow.errors import NumbersError, ProviderError
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.placement import PLACING, USUAL
from onnxflow.placing import placing_of
from onnxflow.providers.device import parse_device
from onnxflow.providers.session import ModelSource, SessionCache, SessionKey

CATALOG = builtin_catalog()
SLOW = {"fp32": 50.0}


class Loader(FakeLoader):
    """The unet gives NaN from its ``call`` on, the second one, where its device and variant are in ``bad``."""

    def __init__(self, *bad: str, call: int = 2) -> None:
        super().__init__()
        self.bad = bad
        self.call = call
        self.places: list[str] = []

    def __call__(self, source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        self.places.append(f"{key.component} {key.device}@{key.variant}")
        graph = super().__call__(source, key, cancel)
        if key.component == "unet" and f"{key.device}@{key.variant}" in self.bad:
            right, calls = graph.compute, iter(range(1, 1000))

            def wrong(feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
                found = {name: np.array(value) for name, value in right(feeds).items()}
                if next(calls) >= self.call:
                    found["out_sample"].reshape(-1)[: found["out_sample"].size // 4] = np.nan
                return found

            graph.compute = wrong
        return graph


def nodes() -> dict[str, tuple[str, dict[str, Any]]]:
    return {
        "m": ("CheckpointLoaderSimple", {"ckpt_name": "mine"}),
        "pm": ("OnnxPlaceModel", {"model": ("m", 0), "device": "webgpu"}),
        "pc": ("OnnxPlaceClip", {"clip": ("m", 1), "device": "cpu@int8"}),
        "pv": ("OnnxPlaceVae", {"vae": ("m", 2), "device": "openvino"}),
        "p": ("CLIPTextEncode", {"text": "a star", "clip": ("pc", 0)}),
        "l": ("EmptyLatentImage", {"width": 64, "height": 32, "batch_size": 1}),
        "k": (
            "KSampler",
            {
                "model": ("pm", 0), "seed": 1, "steps": 3, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal",
                "positive": ("p", 0), "negative": ("p", 0), "latent_image": ("l", 0), "denoise": 1.0,
            },
        ),
        "d": ("VAEDecode", {"samples": ("k", 0), "vae": ("pv", 0)}),
        "s": ("SaveImage", {"images": ("d", 0), "filename_prefix": "x"}),
    }  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONNXFLOW_CACHE", str(tmp_path / "kept"))
    int8_model(tmp_path / "models", "mine")
    return tmp_path


def run(
    folder: Path, loader: FakeLoader, *place: str, graph: dict[str, Any] | None = None, **choices: str
) -> RunReport:
    machine = FakeMachine(webgpu=SLOW, openvino_cpu=SLOW, cuda_0=SLOW)
    return run_workflow(
        workflow(**(graph or nodes())), CATALOG, disk_at(folder, folder / "models"), SessionCache(loader),
        placing=placing_of(place, {}, machine=machine, **choices),
    )  # fmt: skip


def kept(report: RunReport) -> Any:
    with PIL.Image.open(report.saved[0].path) as picture:
        return json.loads(picture.info["onnxflow"])


def test_they_hand_on_what_they_are_given_and_offer_devices_that_there_are() -> None:
    for name in PLACING:
        given = object()
        assert CATALOG[name].function(given, "cpu") is given and CATALOG[name].runs == ()
    assert len(PLACING) == 3
    for name in USUAL:
        assert name == "auto" or str(parse_device(name)) in (name, f"{name}:{parse_device(name).unit}")


def test_each_component_runs_where_its_node_says(folder: Path) -> None:
    loader = Loader()
    report = run(folder, loader)
    assert {use.component: (use.variant, use.device, use.calls) for use in report.sessions} == {
        "text_encoder": ("int8", "cpu", 1), "unet": ("fp32", "webgpu", 3), "vae_decoder": ("fp32", "openvino:cpu", 1),
    }  # fmt: skip
    sessions = {one["component"]: one for one in kept(report)["sessions"]}
    assert sessions["unet"]["asked"] == "webgpu (the workflow's node pm (The pm, OnnxPlaceModel))"
    assert {name: one["device"] for name, one in sessions.items()} == {
        "text_encoder": "cpu", "unet": "webgpu", "vae_decoder": "openvino:cpu",
    }  # fmt: skip
    assert sum(kept(report)["time"].values()) in (99, 100, 101)


def test_a_flag_counts_before_them(folder: Path) -> None:
    report = run(folder, Loader(), "k=cuda:0", "vae=cpu")
    assert {use.component: use.device for use in report.sessions} == {
        "text_encoder": "cpu", "unet": "cuda:0", "vae_decoder": "cpu",
    }  # fmt: skip


def test_a_device_that_is_not_there_is_refused_before_anything_is_loaded(folder: Path) -> None:
    loader, graph = Loader(), nodes()
    graph["pv"][1]["device"] = "coreml"
    with pytest.raises(ProviderError, match="is not installed") as caught:
        run(folder, loader, graph=graph)
    assert caught.value.node is not None and caught.value.node.id == "d" and loader.places == []
    report = run(folder, loader, graph=graph, fallback="allow")
    (note,) = (one["note"] for one in kept(report)["sessions"] if "note" in one)
    assert note.endswith("is not installed")


@pytest.mark.parametrize("step", [1, 2, 3])
def test_nan_names_node_step_precision_and_share(folder: Path, step: int) -> None:
    with pytest.raises(NumbersError) as caught:
        run(folder, Loader("cpu@int8", call=step), "k=cpu@int8")
    assert caught.value.node is not None and caught.value.node.id == "k"
    expected = f"the unet of onnxflow-tiny (int8, cpu) gave NaN or infinity at step {step} of 3: 25% of out_sample"
    assert caught.value.message == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("picture", [1, 2])
def test_nan_of_a_decoder_names_the_picture(folder: Path, bad: float, picture: int) -> None:
    loader, calls = FakeLoader(), iter(range(1, 1000))
    right = loader.vae_decoder

    def decode(feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        image = right(feeds)["image"]
        return {"image": np.full_like(image, bad) if next(calls) == picture else image}

    loader.vae_decoder = decode  # type: ignore[method-assign, assignment]
    graph = nodes()
    graph["l"][1]["batch_size"] = 2
    with pytest.raises(NumbersError, match=rf"vae_decoder .* gave NaN or infinity at step {picture} of 2"):
        run(folder, loader, graph=graph)


def test_upcast_draws_on_in_fp32_and_the_picture_says_so(folder: Path) -> None:
    report = run(folder, Loader("cpu@int8"), "k=cpu@int8", on_nan="upcast")
    unet = [one for one in kept(report)["sessions"] if one["component"] == "unet"]
    assert [(one["precision"], one.get("note", "")) for one in unet] == [
        ("int8", ""), ("fp32", "int8 gave NaN or infinity at step 2 of 3: fp32 from there on"),
    ]  # fmt: skip
    assert [described(use)["calls"] for use in report.sessions if use.component == "unet"] == [2, 2]
    right = run(folder, Loader(), "k=cpu@int8")
    assert np.array_equal(report.images[0], right.images[0]), "both variants compute the same here"

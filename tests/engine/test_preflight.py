"""A device that somebody named is asked whether it takes a model's graphs before anything is computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeGraph, FakeLoader, FakeMachine, disk_at, int8_model, workflow

from onnxflow.cancel import CancelToken
from onnxflow.engine.cache import ResultCache
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import run_workflow
from onnxflow.errors import MemoryLimitError, OnnxflowError, ProviderError
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.placing import placing_of
from onnxflow.providers.device import parse_device
from onnxflow.providers.session import ModelSource, SessionCache, SessionKey
from onnxflow.providers.taken import was_taken

SLOW = {"fp32": 50.0}  # so that auto leaves it alone
CATALOG = builtin_catalog()
LOADERS = {"CheckpointLoaderSimple"}


class Loader(FakeLoader):
    """Loads fakes; a device may refuse a component."""

    def __init__(self, refuses: Mapping[str, OnnxflowError] | None = None) -> None:
        super().__init__()
        self.refuses = refuses or {}
        self.places: list[str] = []

    def __call__(self, source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        self.places.append(f"{key.component} {key.device}")
        if error := self.refuses.get(f"{key.component} {key.device}"):
            raise error
        return super().__call__(source, key, cancel)


def nodes() -> dict[str, tuple[str, dict[str, Any]]]:
    draw = {
        "seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal", "positive": ("p", 0),
        "negative": ("p", 0), "latent_image": ("l", 0), "denoise": 1.0,
    }  # fmt: skip
    return {
        "m": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
        "p": ("CLIPTextEncode", {"text": "a star", "clip": ("m", 1)}),
        "l": ("EmptyLatentImage", {"width": 64, "height": 32, "batch_size": 1}),
        "k": ("KSampler", {"model": ("m", 0), **draw}),
        "d": ("VAEDecode", {"samples": ("k", 0), "vae": ("m", 2)}),
        "s": ("SaveImage", {"images": ("d", 0), "filename_prefix": "x"}),
    }


class Runs:
    """Runs of one process: its sessions, and what each run executed."""

    def __init__(self, folder: Path, loader: Loader | None = None) -> None:
        self.folder = folder
        self.loader = loader or Loader()
        self.sessions = SessionCache(self.loader)
        self.executed: list[str] = []
        self.machine = FakeMachine(cuda_0=SLOW, openvino_npu=SLOW, tensorrt_0=SLOW)

    def run(
        self, graph: dict[str, Any], *place: str, fallback: str = "refuse", cache: ResultCache | None = None
    ) -> RunReport:
        self.executed.clear()
        self.loader.places.clear()

        def listen(event: Any) -> None:
            if event.type == "executing" and event.data["node"]:
                self.executed.append(graph[event.data["node"]][0])

        placing = placing_of(place, {}, fallback=fallback, machine=self.machine)
        disk = disk_at(self.folder, self.folder / "models")
        return run_workflow(
            workflow(**graph), CATALOG, disk, self.sessions, listeners=[listen], placing=placing, cache=cache
        )


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ONNXFLOW_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.mark.parametrize("error", [ProviderError, MemoryLimitError])
@pytest.mark.parametrize(("flag", "asked", "node"), [("unet", "unet", "k"), ("vae", "vae_decoder", "d")])
def test_what_a_device_does_not_take_is_refused_before_anything_but_loaders_runs(
    tmp_path: Path, error: type[OnnxflowError], flag: str, asked: str, node: str
) -> None:
    runs = Runs(tmp_path, Loader({f"{asked} cuda:0": error("took 3 of 9")}))
    with pytest.raises(error) as caught:
        runs.run(nodes(), f"{flag}=cuda:0")
    assert caught.value.node is not None and caught.value.node.id == node
    assert runs.executed == ["CheckpointLoaderSimple"] and runs.loader.places == [f"{asked} cuda:0"]
    assert not list(tmp_path.rglob("*.png"))


def test_what_was_taken_is_remembered_and_loaded_once_from_then_on(tmp_path: Path, cache_folder: Path) -> None:
    runs = Runs(tmp_path)
    report = runs.run(nodes(), "unet=cuda:0")
    assert runs.loader.places == ["unet cuda:0", "text_encoder cpu", "unet cuda:0", "vae_decoder cpu"]
    assert (cache_folder / "taken.json").is_file()
    assert [(use.component, use.device, use.calls) for use in report.sessions] == [
        ("text_encoder", "cpu", 1), ("unet", "cuda:0", 2), ("vae_decoder", "cpu", 1),
    ]  # fmt: skip
    again = Runs(tmp_path)
    again.run(nodes(), "unet=cuda:0")
    assert again.loader.places == ["text_encoder cpu", "unet cuda:0", "vae_decoder cpu"]


def test_what_was_refused_is_not_remembered_as_taken(tmp_path: Path) -> None:
    for _ in range(2):
        runs = Runs(tmp_path, Loader({"unet cuda:0": ProviderError("no")}))
        with pytest.raises(ProviderError):
            runs.run(nodes(), "unet=cuda:0")
        assert runs.loader.places == ["unet cuda:0"]


def test_each_variant_is_asked_about_once(tmp_path: Path) -> None:
    int8_model(tmp_path / "models", "mine")
    graph = nodes()
    graph["m"][1]["ckpt_name"] = "mine"
    graph["k2"] = ("KSampler", {**graph["k"][1], "latent_image": ("k", 0)})
    graph["d"][1]["samples"] = ("k2", 0)
    runs = Runs(tmp_path)
    runs.run(graph, "k=cuda:0,k2=cuda:0@fp32")
    assert runs.loader.places.count("unet cuda:0") == 2, "asked once, computed once with"
    source = disk_at(tmp_path, tmp_path / "models").store.checkpoint("mine")
    assert was_taken(source.identity, "unet", "fp32", parse_device("cuda"))
    assert not was_taken(source.identity, "unet", "int8", parse_device("cuda"))


@pytest.mark.parametrize("flag", ["unet=auto", "unet=cpu", "unet=openvino:npu", "unet=tensorrt"])
def test_auto_the_cpu_and_devices_of_fixed_sizes_are_asked_by_the_first_call(tmp_path: Path, flag: str) -> None:
    runs = Runs(tmp_path)
    if flag == "unet=auto":
        runs.machine = FakeMachine(cuda_0={"fp32": 900.0})
    runs.run(nodes(), flag)
    assert [place.split()[0] for place in runs.loader.places] == ["text_encoder", "unet", "vae_decoder"]
    assert ("cpu" in runs.loader.places[1]) == (flag == "unet=cpu")


@pytest.mark.parametrize("fallback", ["refuse", "allow"])
@pytest.mark.parametrize(
    ("flag", "node"),
    [("vae=cpu@int4", "d"), ("d=auto@int4", "d"), ("unet=cpu@int4", "k"), ("vae=openvino:npu@int4", "d")],
)
def test_a_variant_that_the_model_has_not_is_refused_before_anything_but_loaders_runs(
    tmp_path: Path, flag: str, node: str, fallback: str
) -> None:
    runs = Runs(tmp_path)
    with pytest.raises(ProviderError, match=r"has no variant 'int4'") as caught:
        runs.run(nodes(), flag, fallback=fallback)
    assert caught.value.node is not None and caught.value.node.id == node
    assert runs.executed == ["CheckpointLoaderSimple"] and runs.loader.places == []


@pytest.mark.parametrize("flag", ["unet=cpu@fp32", "unet=auto@fp32"])
def test_a_variant_that_the_model_has_is_asked_about_without_loading_it(tmp_path: Path, flag: str) -> None:
    runs = Runs(tmp_path)
    assert len(runs.run(nodes(), flag).saved) == 1
    assert [place.split()[0] for place in runs.loader.places] == ["text_encoder", "unet", "vae_decoder"]


def test_with_fallback_nobody_is_asked(tmp_path: Path) -> None:
    runs = Runs(tmp_path, Loader({"unet cuda:0": ProviderError("took 3 of 9")}))
    report = runs.run(nodes(), "unet=cuda:0", fallback="allow")
    assert runs.loader.places[0] == "text_encoder cpu"
    assert [use.note for use in report.sessions if use.component == "unet"] == ["took 3 of 9"]


def test_a_model_behind_place_nodes_is_asked_about_as_soon_as_it_is_known(tmp_path: Path) -> None:
    graph = nodes()
    graph["a"] = ("OnnxPlaceModel", {"model": ("m", 0), "device": "cpu"})
    graph["b"] = ("OnnxPlaceModel", {"model": ("a", 0), "device": "cuda:0"})
    graph["k"][1]["model"] = ("b", 0)
    runs = Runs(tmp_path, Loader({"unet cuda:0": ProviderError("took 3 of 9")}))
    with pytest.raises(ProviderError):
        runs.run(graph)
    assert runs.executed == ["CheckpointLoaderSimple"]


def test_the_second_of_two_pipelines_is_asked_about_before_the_first_one_runs(tmp_path: Path) -> None:
    int8_model(tmp_path / "models", "mine")
    graph = nodes()
    for name in "mkds":
        graph[f"{name}2"] = (graph[name][0], dict(graph[name][1]))
    graph["m2"][1]["ckpt_name"] = "mine"
    graph["k2"][1]["model"], graph["d2"][1]["vae"] = ("m2", 0), ("m2", 2)
    graph["d2"][1]["samples"], graph["s2"][1]["images"] = ("k2", 0), ("d2", 0)
    runs = Runs(tmp_path, Loader({"unet cuda:0": ProviderError("took 3 of 9")}))
    with pytest.raises(ProviderError):
        runs.run(graph, "k2=cuda:0")
    assert set(runs.executed) == LOADERS and runs.loader.places == ["unet cuda:0"]
    runs.loader.refuses = {}
    assert len(runs.run(graph, "k2=cuda:0").saved) == 2


def test_a_second_loader_of_the_same_model_is_the_first_one(tmp_path: Path) -> None:
    graph = nodes()
    graph["m2"] = graph["m"]
    graph["k2"] = ("KSampler", {**graph["k"][1], "model": ("m2", 0), "latent_image": ("k", 0)})
    graph["d"][1]["samples"] = ("k2", 0)
    runs = Runs(tmp_path, Loader({"unet cuda:0": ProviderError("took 3 of 9")}))
    with pytest.raises(ProviderError):
        runs.run(graph, "k2=cuda:0")
    assert set(runs.executed) == LOADERS


def test_what_is_in_the_cache_is_not_asked_about(tmp_path: Path) -> None:
    runs, cache = Runs(tmp_path), ResultCache()
    runs.run(nodes(), "unet=cuda:0", cache=cache)
    runs.loader.refuses = {"unet cuda:0": ProviderError("gone")}
    runs.sessions.close()
    (tmp_path / "kept" / "taken.json").unlink()
    runs.machine = FakeMachine(cuda_0="it was pulled out")
    runs.run(nodes(), "unet=cuda:0", cache=cache)
    assert runs.executed == [] and runs.loader.places == []
    graph = nodes()
    graph["s"][1]["filename_prefix"] = "y"
    runs.run(graph, "unet=cuda:0", cache=cache)
    assert runs.executed == ["SaveImage"]
    graph["k"][1]["seed"] = 2
    with pytest.raises(ProviderError, match="it was pulled out"):
        runs.run(graph, "unet=cuda:0", cache=cache)
    assert runs.executed == []


def custom() -> dict[str, tuple[str, dict[str, Any]]]:
    """The same picture from parts: the model comes to the sampler by way of a patch and inside a guider."""
    graph = nodes()
    del graph["k"]
    return {
        **graph,
        "e": ("ModelSamplingDiscrete", {"model": ("m", 0), "sampling": "eps", "zsnr": False}),
        "g": ("CFGGuider", {"model": ("e", 0), "positive": ("p", 0), "negative": ("p", 0), "cfg": 2.0}),
        "b": ("BasicScheduler", {"model": ("m", 0), "scheduler": "normal", "steps": 2, "denoise": 1.0}),
        "c": ("KSamplerSelect", {"sampler_name": "euler"}),
        "r": ("RandomNoise", {"noise_seed": 1}),
        "k": (
            "SamplerCustomAdvanced",
            {"noise": ("r", 0), "guider": ("g", 0), "sampler": ("c", 0), "sigmas": ("b", 0), "latent_image": ("l", 0)},
        ),
    }


@pytest.mark.parametrize("place", ["k=cuda:0", "m=cuda:0", "g=cuda:0", "e=cuda:0", "unet=cuda:0"])
def test_a_model_inside_a_guider_is_placed_and_asked_about_first(place: str, tmp_path: Path) -> None:
    refusing = Runs(tmp_path / "other", Loader({"unet cuda:0": ProviderError("took 3 of 9")}))
    with pytest.raises(ProviderError, match="took 3 of 9") as caught:
        refusing.run(custom(), place)
    assert caught.value.node is not None and caught.value.node.id == "k"
    assert set(refusing.executed) <= LOADERS, "nothing was computed"
    report = Runs(tmp_path).run(custom(), place)
    assert [use.device for use in report.sessions if use.component == "unet"] == ["cuda:0"]


def test_the_session_of_a_model_inside_a_guider_is_closed_after_its_last_reader(tmp_path: Path) -> None:
    runs = Runs(tmp_path)
    runs.run(custom())
    assert runs.loader.loaded == ["text_encoder", "unet", "vae_decoder"]
    assert all(graph.closed for graph in runs.loader.graphs.values())


def test_a_place_that_the_file_gives_a_model_goes_with_its_guider(tmp_path: Path) -> None:
    graph = custom()
    graph["o"] = ("OnnxPlaceModel", {"model": ("m", 0), "device": "cuda:0"})
    graph["e"][1]["model"] = ("o", 0)
    report = Runs(tmp_path).run(graph)
    assert [use.device for use in report.sessions if use.component == "unet"] == ["cuda:0"]

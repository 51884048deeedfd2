"""What a run keeps of the sessions that made a result, and which results it does not keep at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from fakes import FakeGraph, FakeLoader, FakeMachine, disk_at, workflow

from onnxflow.cancel import CancelToken
from onnxflow.engine.cache import ResultCache
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import run_workflow
from onnxflow.errors import ProviderError
from onnxflow.models.bundle import open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.placing import placing_of
from onnxflow.providers.placement import ROOM, Placer
from onnxflow.providers.session import ModelSource, SessionCache, SessionKey

CATALOG = builtin_catalog()
FAST = {"fp32": 900.0}


class Loader(FakeLoader):
    """Loads fakes; a device may refuse a component."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()

    def __call__(self, source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        if f"{key.component} {key.device}" in self.refused:
            raise ProviderError("took 3 of 9")
        return super().__call__(source, key, cancel)


class Runs:
    """Runs of one process with one cache of results."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loader = Loader()
        self.sessions = SessionCache(self.loader)
        self.cache = ResultCache()
        self.machine = FakeMachine(cuda_0={"fp32": 50.0})
        self.memory: int | None = None
        self.volatile = frozenset[str]()
        self.executed: list[str] = []

    def run(self, *place: str, fallback: str = "allow", **changes: Mapping[str, Any]) -> RunReport:
        """A run with inputs of nodes changed; sessions are loaded anew."""
        self.executed.clear()

        def listen(event: Any) -> None:
            if event.type == "executing" and event.data["node"]:
                self.executed.append(event.data["node"])

        graph = nodes()
        for name, inputs in changes.items():
            graph[name][1].update(inputs)
        placer = Placer(self.machine, fallback=fallback == "allow", memory=lambda: self.memory)
        placing = replace(placing_of(place, {}), placer=placer)
        disk = disk_at(self.folder)
        report = run_workflow(
            workflow(**graph), CATALOG, disk, self.sessions, cache=self.cache, listeners=[listen], placing=placing,
            volatile=self.volatile,
        )  # fmt: skip
        self.sessions.close()
        return report


def nodes() -> dict[str, tuple[str, dict[str, Any]]]:
    draw = {
        "seed": 1, "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal", "positive": ("p", 0),
        "negative": ("n", 0), "latent_image": ("l", 0), "denoise": 1.0,
    }  # fmt: skip
    return {
        "m": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
        "p": ("CLIPTextEncode", {"text": "a star", "clip": ("m", 1)}),
        "n": ("CLIPTextEncode", {"text": "", "clip": ("m", 1)}),
        "l": ("EmptyLatentImage", {"width": 64, "height": 32, "batch_size": 1}),
        "k": ("KSampler", {"model": ("m", 0), **draw}),
        "d": ("VAEDecode", {"samples": ("k", 0), "vae": ("m", 2)}),
        "s": ("SaveImage", {"images": ("d", 0), "filename_prefix": "x"}),
    }


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setenv("ONNXFLOW_CACHE", str(tmp_path / "kept"))
    return Runs(tmp_path)


def drawn(report: RunReport) -> dict[str, str]:
    """The sessions in the picture's record."""
    with PIL.Image.open(report.saved[-1].path) as picture:
        return {one["component"]: one["device"] for one in json.loads(picture.info["onnxflow"])["sessions"]}


WHOLE = {"text_encoder": "cpu", "unet": "cpu", "vae_decoder": "cpu"}


def test_a_picture_says_what_made_it_also_where_results_were_known(runs: Runs) -> None:
    assert drawn(runs.run()) == WHOLE
    second = runs.run(k={"seed": 2})
    assert runs.executed == ["k", "d", "s"] and drawn(second) == WHOLE
    assert [(use.component, use.calls) for use in second.recalled] == [("text_encoder", 2)]
    third = runs.run(s={"filename_prefix": "y"}, k={"seed": 2})
    assert runs.executed == ["s"] and drawn(third) == WHOLE, "what stands behind a known result counts as well"
    assert [(use.component, use.calls) for use in third.sessions] == [
        ("text_encoder", 2), ("unet", 2), ("vae_decoder", 1),
    ]  # fmt: skip
    assert third.ran == ()


def test_what_stands_behind_a_result_that_was_not_kept_counts_as_well(runs: Runs) -> None:
    runs.volatile = frozenset({"k", "s"})
    runs.run()
    assert drawn(runs.run()) == {"text_encoder": "cpu", "vae_decoder": "cpu"} and runs.executed == ["s"]


def test_a_session_that_runs_again_is_not_recalled_besides(runs: Runs) -> None:
    runs.run()
    report = runs.run(p={"text": "a heart"})
    assert runs.executed == ["p", "k", "d", "s"] and report.recalled == ()
    assert drawn(report) == WHOLE


def test_a_session_in_another_place_is_another_one(runs: Runs) -> None:
    runs.run("p=cpu@fp32")
    report = runs.run("p=cpu@fp32", "n=cuda:0", k={"seed": 2})
    found = [(use.component, use.device) for use in report.sessions if use.component == "text_encoder"]
    assert sorted(found) == [("text_encoder", "cpu"), ("text_encoder", "cuda:0")]


@pytest.mark.parametrize("how", ["not there", "refused"])
def test_what_fell_back_is_computed_again_with_all_that_was_made_of_it(runs: Runs, how: str) -> None:
    right = runs.machine
    if how == "refused":
        runs.loader.refused = {"text_encoder cuda:0"}
    else:
        runs.machine = FakeMachine(cuda_0="it was pulled out")
    first = runs.run("p=cuda:0")
    assert [bool(use.note) for use in first.sessions if use.component == "text_encoder"] == [True, False]
    runs.loader.refused, runs.machine = set(), right
    second = runs.run("p=cuda:0")
    assert runs.executed == ["p", "k", "d", "s"], "the other prompt is known"
    assert [use.device for use in second.ran if use.component == "text_encoder"] == ["cuda:0"]
    runs.run("p=cuda:0")
    assert runs.executed == []


def test_a_twin_of_what_fell_back_spoils_what_is_made_of_it(runs: Runs) -> None:
    runs.loader.refused = {"text_encoder cuda:0"}
    runs.run("clip=cuda:0", n={"text": "a star"})
    runs.loader.refused = set()
    runs.run("clip=cuda:0", n={"text": "a star"})
    assert set(runs.executed) == {"p", "k", "d", "s"}


def test_what_retreats_from_a_device_that_nobody_named_is_computed_again(runs: Runs) -> None:
    runs.machine, runs.loader.refused = FakeMachine(cuda_0=FAST), {"unet cuda:0"}
    runs.run(fallback="refuse")
    runs.loader.refused = set()
    runs.run(fallback="refuse")
    assert runs.executed == ["k", "d", "s"]


def test_a_smaller_variant_for_want_of_memory_is_as_placed_and_kept(runs: Runs) -> None:
    bundle = open_bundle(embedded_folder())
    runs.memory = int(ROOM * bundle.weight_bytes("text_encoder", "int8"))
    report = runs.run()
    assert {use.note[:4] for use in report.sessions if use.component == "text_encoder"} == {"int8"}
    runs.run()
    assert runs.executed == []

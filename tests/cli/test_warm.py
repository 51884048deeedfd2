"""`onnxflow warm`: every network loaded, compiled and called, with the seconds of each."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import FakeGraph, FakeLoader, FakeMachine
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.cli.summary import fallen_back
from onnxflow.engine import warm as warming
from onnxflow.engine.places import Placing
from onnxflow.errors import ModelError, NumbersError, ProviderError, UsageError
from onnxflow.models.bundle import Bundle, open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.placing import placing_of
from onnxflow.providers.placement import parse_wishes
from onnxflow.providers.session import ModelSource, SessionCache, SessionKey


@pytest.fixture
def tiny() -> Bundle:
    return open_bundle(embedded_folder())


def onnxflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", *arguments],
        cwd=folder, env={**os.environ, "ONNXFLOW_CACHE": str(folder.with_suffix(".kept"))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_each_network_says_what_it_took(tmp_path: Path) -> None:
    done = onnxflow(tmp_path, "warm", "onnxflow-tiny", "--size", "64x96")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert [line.split(",")[0] for line in lines] == ["text_encoder", "unet", "vae_decoder", "vae_encoder"]
    for line in lines:
        seconds = r"\d+\.\d\d s"
        assert re.search(
            rf"fp32 on cpu: read {seconds}, optimise and compile {seconds}, first call {seconds}, next call {seconds}$",
            line,
        )
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    for arguments, code, words in (
        (("no-such-model",), 1, "there is no model"),
        (("onnxflow-tiny", "--size", "big"), 2, "is no size"),
        (("onnxflow-tiny", "--size", "64x63"), 2, "multiples of 8"),
        (("onnxflow-tiny", "--place", "7=cpu"), 2, "there is no component '7'"),
        (("onnxflow-tiny", "--place", "unet=directml"), 3, "not installed here"),
    ):
        done = onnxflow(tmp_path, "warm", *arguments)
        assert done.returncode == code, done.stderr
        assert words in done.stderr and "Traceback" not in done.stderr


def test_the_shapes_are_those_of_a_workflow(tiny: Bundle) -> None:
    feeds = warming.feeds_of(tiny, "unet", 64, 96, 6)
    assert feeds["sample"].shape == (6, 4, 12, 8) and feeds["encoder_hidden_states"].shape == (6, 77, 128)
    assert feeds["timestep"].shape == (6,) and feeds["mid_residual"].shape == (1, 1, 1, 1)
    assert warming.feeds_of(tiny, "vae_encoder", 70, 96, 1)["image"].shape == (1, 3, 96, 64)
    assert warming.feeds_of(tiny, "text_encoder", 64, 64, 1)["eos_index"].dtype == np.int64


class Loader(FakeLoader):
    """Remembers the rows of each call; a device may refuse everything."""

    def __init__(self, refused: str = "") -> None:
        super().__init__()
        self.refused = refused
        self.rows: dict[str, list[int]] = {}

    def __call__(self, source: ModelSource, key: SessionKey, cancel: CancelToken) -> FakeGraph:
        if str(key.device) == self.refused:
            raise ProviderError("took 3 of 9")
        graph = super().__call__(source, key, cancel)
        right = graph.compute

        def compute(feeds: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
            self.rows.setdefault(key.component, []).append(max(map(len, feeds.values())))
            return right(feeds)

        graph.compute = compute
        return graph


def warmed(tiny: Bundle, loader: Loader, *place: str, batch: int = 1, **choices: str) -> Iterator[warming.Warmed]:
    machine = FakeMachine(tensorrt_0={"fp32": 50.0}, cuda_0={"fp32": 50.0})
    return warming.warm(tiny, placing_of(place, {}, machine=machine, **choices), 64, 64, batch, CancelToken())


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Loader:
    made = Loader()
    monkeypatch.setattr(warming, "SessionCache", lambda: SessionCache(made))
    return made


def test_networks_come_one_after_the_other_and_are_called_twice(tiny: Bundle, loader: Loader) -> None:
    found = []
    for one in warmed(tiny, loader, "unet=cpu@int8"):
        found.append((one.use.component, one.use.variant, one.use.device, one.use.calls))
        assert [name for name, graph in loader.graphs.items() if not graph.closed] == [one.use.component]
    assert found[1] == ("unet", "int8", "cpu", 2) and len(found) == 4
    assert all(graph.closed for graph in loader.graphs.values())
    assert loader.rows == {"text_encoder": [1, 1], "unet": [2, 2], "vae_decoder": [1, 1], "vae_encoder": [1, 1]}


def test_where_sizes_are_fixed_every_batch_of_a_workflow_is_made_ready(tiny: Bundle, loader: Loader) -> None:
    found = [(one.use.component, one.rows) for one in warmed(tiny, loader, "tensorrt", batch=3)]
    assert found == [
        ("text_encoder", 1), ("text_encoder", 2), ("unet", 3), ("unet", 6), ("vae_decoder", 1), ("vae_encoder", 1),
    ]  # fmt: skip
    assert loader.rows["unet"] == [3, 3, 6, 6] and loader.rows["text_encoder"] == [1, 1, 2, 2]
    assert loader.loaded == ["text_encoder", "unet", "vae_decoder", "vae_encoder"], "one session has several sizes"


def test_a_device_of_a_later_network_that_is_not_there_is_found_before_the_first_is_loaded(
    tiny: Bundle, loader: Loader
) -> None:
    with pytest.raises(ProviderError, match="is not installed"):
        list(warmed(tiny, loader, "vae_encoder=webgpu"))
    assert loader.loaded == []


@pytest.mark.parametrize("device", ["cuda:0", "tensorrt:0"])
def test_what_falls_back_says_so(tiny: Bundle, loader: Loader, device: str) -> None:
    loader.refused = device
    found = [one.use for one in warmed(tiny, loader, f"unet={device}", fallback="allow") if one.use.component == "unet"]
    assert [(one.device, one.note) for one in found] == [("cpu", "took 3 of 9")]
    assert fallen_back(found) == [f"unet: asked for {device} (--place unet={device}), ran in fp32 on cpu: took 3 of 9"]


def test_a_fallback_is_printed(tmp_path: Path) -> None:
    done = onnxflow(
        tmp_path, "warm", "onnxflow-tiny", "--size", "64x64", "--place", "unet=directml", "--fallback", "allow"
    )
    assert done.returncode == 0 and "unet, fp32 on cpu: read" in done.stdout
    tried, line = done.stderr.splitlines()
    assert tried == "trying directml:0 ..."
    assert line.startswith("unet: asked for directml:0 (--place unet=directml), ran in fp32 on cpu: ")


def test_numbers_that_are_none_end_it(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = FakeLoader()
    monkeypatch.setattr(loader, "unet", lambda feeds: {"out_sample": np.full((1, 4, 8, 8), np.nan, np.float32)}, False)
    monkeypatch.setattr(warming, "SessionCache", lambda: SessionCache(loader))
    with pytest.raises(NumbersError, match=r"the unet of onnxflow-tiny .* gave NaN or infinity"):
        list(warming.warm(tiny, Placing(), 64, 64, 1, CancelToken()))


def test_foreign_graphs_are_refused(tiny: Bundle) -> None:
    from dataclasses import replace

    components = {**tiny.manifest.components, "unet": replace(tiny.manifest.components["unet"], interface="optimum")}
    foreign = replace(tiny, manifest=replace(tiny.manifest, components=components))
    with pytest.raises(ModelError, match="what its sizes mean is not known"):
        list(warming.warm(foreign, Placing(), 64, 64, 1, CancelToken()))
    with pytest.raises(UsageError):
        list(warming.warm(tiny, Placing(parse_wishes("9=cpu", "--place")), 64, 64, 1, CancelToken()))

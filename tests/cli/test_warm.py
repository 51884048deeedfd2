"""`onnxflow warm`: every network loaded, compiled and called, with the seconds of each."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeLoader

from onnxflow.cancel import CancelToken
from onnxflow.engine import warm as warming
from onnxflow.engine.places import Placing
from onnxflow.errors import ModelError, NumbersError, UsageError
from onnxflow.models.bundle import Bundle, open_bundle
from onnxflow.models.store import embedded_folder
from onnxflow.providers.placement import parse_wishes
from onnxflow.providers.session import SessionCache


@pytest.fixture
def tiny() -> Bundle:
    return open_bundle(embedded_folder())


def onnxflow(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "onnxflow", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


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
    feeds = warming.feeds_of(tiny, "unet", 64, 96, 3)
    assert feeds["sample"].shape == (6, 4, 12, 8) and feeds["encoder_hidden_states"].shape == (6, 77, 128)
    assert feeds["timestep"].shape == (6,) and feeds["mid_residual"].shape == (1, 1, 1, 1)
    assert warming.feeds_of(tiny, "vae_encoder", 70, 96, 1)["image"].shape == (1, 3, 96, 64)
    assert warming.feeds_of(tiny, "text_encoder", 64, 64, 1)["eos_index"].dtype == np.int64


def test_networks_come_one_after_the_other_and_are_called_twice(tiny: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    loader = FakeLoader()
    monkeypatch.setattr(warming, "SessionCache", lambda: SessionCache(loader))
    found = []
    for one in warming.warm(tiny, Placing(parse_wishes("unet=cpu@int8", "--place")), 64, 64, 1, CancelToken()):
        found.append((one.component, one.placement.variant, one.device))
        assert [name for name, graph in loader.graphs.items() if not graph.closed] == [one.component]
    assert found[1] == ("unet", "int8", "cpu") and len(found) == 4
    assert all(graph.closed for graph in loader.graphs.values())


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

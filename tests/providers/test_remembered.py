"""What is remembered of a graph on a device: that it was taken, how exact it was, and what was compiled."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from onnxflow.providers import compiled, taken, verdicts
from onnxflow.providers.cache_folder import VARIABLE, recall, remember
from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.compiled import compiled_folder
from onnxflow.providers.device import CPU, Device, parse_device
from onnxflow.providers.taken import remember_taken, was_taken
from onnxflow.providers.verdicts import Judged, keep_verdict, known_verdict

GRAPH = ("identity", "unet", "fp16", parse_device("tensorrt:0"))
OTHERS = [
    ("other", *GRAPH[1:]),
    (GRAPH[0], "vae_decoder", *GRAPH[2:]),
    (*GRAPH[:2], "fp32", GRAPH[3]),
    (*GRAPH[:3], parse_device("tensorrt:1")),
    (*GRAPH[:3], parse_device("cuda:0")),
]


@pytest.fixture(autouse=True)
def stamp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """What changes with drivers and wheels."""
    found = {"stamp": "driver 1"}
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    for module in (compiled, taken, verdicts):
        monkeypatch.setattr(module, "stamp", lambda facts: found["stamp"])
    return found


def test_what_was_taken_holds_for_this_graph_and_this_driver(stamp: dict[str, str]) -> None:
    assert not was_taken(*GRAPH)
    remember_taken(*GRAPH)
    assert was_taken(*GRAPH)
    assert not any(was_taken(*other) for other in OTHERS)
    stamp["stamp"] = "driver 2"
    assert not was_taken(*GRAPH)
    stamp["stamp"] = "driver 1"
    assert was_taken(*GRAPH)


def test_a_verdict_holds_for_this_graph_and_this_driver(stamp: dict[str, str]) -> None:
    assert known_verdict(*GRAPH) is None
    keep_verdict(*GRAPH, Judged(0.25, 0.5))
    assert known_verdict(*GRAPH) == Judged(0.25, 0.5)
    assert [known_verdict(*other) for other in OTHERS] == [None] * len(OTHERS)
    keep_verdict(*GRAPH, Judged(0.75, 0.5))
    assert known_verdict(*GRAPH) == Judged(0.75, 0.5)
    stamp["stamp"] = "driver 2"
    assert known_verdict(*GRAPH) is None


def test_what_is_wrong() -> None:
    assert [Judged(error, 0.5).wrong for error in (0.0, 0.5, 0.51, math.inf, math.nan)] == [False, False, *[True] * 3]


def test_not_a_number_is_remembered_as_wrong() -> None:
    keep_verdict(*GRAPH, Judged(math.nan, 0.5))
    found = known_verdict(*GRAPH)
    assert found is not None and found.wrong


@pytest.mark.parametrize("damage", [3, "x", [], ["a"], {}, {"error": 1}, {"error": "x", "allowed": 1}, None])
def test_a_damaged_verdict_is_none(damage: object) -> None:
    keep_verdict(*GRAPH, Judged(0.25, 0.5))
    remember("verdicts", dict.fromkeys(recall("verdicts"), damage))
    assert known_verdict(*GRAPH) is None


def test_what_is_compiled_has_a_folder_for_each_graph_device_and_driver(tmp_path: Path, stamp: dict[str, str]) -> None:
    identity, component, variant, device = GRAPH

    def folder(graph: tuple[str, str, str, Device]) -> Path | None:
        return compiled_folder(graph[3], *graph[:3])

    one = folder(GRAPH)
    assert one is not None and one == folder(GRAPH)
    assert one.parent == tmp_path / "compiled" and one.name.startswith("tensorrt-0-unet-fp16-")
    assert not one.parent.exists()
    assert len({folder(graph) for graph in (GRAPH, *OTHERS[:4])}) == 5
    stamp["stamp"] = "driver 2"
    assert folder(GRAPH) != one
    assert compiled_folder(device, "", component, variant) is None
    assert folder((identity, component, variant, CPU)) is None


def test_who_keeps_what_it_compiled() -> None:
    kept = {p.name for p in PROVIDERS if compiled_folder(parse_device(p.name), "id", "unet", "fp32") is not None}
    assert kept == {"tensorrt", "coreml", "openvino", "qnn", "migraphx"}

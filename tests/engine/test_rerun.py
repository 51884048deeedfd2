"""What runs again in a second run, and what does not."""

from __future__ import annotations

import fakes
import pytest
from growing import Nodes, run

from onnxflow.engine.cache import ResultCache
from onnxflow.errors import NodeError


def test_a_class_that_cannot_tell_what_its_result_depends_on_runs_every_time() -> None:
    cache = ResultCache()
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "n": ("Never", {"number": ("s", 0)}),
        "m": ("Never", {"number": ("s", 0)}),
        "a": ("Add", {"a": ("n", 0), "b": ("m", 0), "scale": 1}),
        "o": ("Show", {"number": ("a", 0), "label": ""}),
    }
    run(nodes, cache)
    assert fakes.calls == ["Start 2", "Never", "Never", "Add 2 2", "Show 4.0"]
    run(nodes, cache)
    assert fakes.calls == ["Never", "Never", "Add 2 2", "Show 4.0"]


def test_a_class_that_is_not_idempotent_runs_once_a_node_and_then_is_known() -> None:
    cache = ResultCache()
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "n": ("Once", {"number": ("s", 0)}),
        "m": ("Once", {"number": ("s", 0)}),
        "a": ("Add", {"a": ("n", 0), "b": ("m", 0), "scale": 1}),
        "o": ("Show", {"number": ("a", 0), "label": ""}),
    }
    run(nodes, cache)
    assert fakes.calls.count("Once") == 2
    run(nodes, cache)
    assert fakes.calls == []


@pytest.mark.parametrize("kind", ["Some", "Steps"])
def test_what_was_finished_before_an_error_is_kept(kind: str) -> None:
    cache = ResultCache()
    extra = {"count": 1} if kind == "Steps" else {}  # Some makes the whole workflow one that grows
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "g": (kind, {"number": ("s", 0), **extra}),
        "f": ("Fail", {"number": ("g", 0)}),
        "o": ("Show", {"number": ("f", 0), "label": ""}),
    }
    for expected in (["Start 2"], []):
        with pytest.raises(NodeError):
            run(nodes, cache)
        assert fakes.calls == expected


@pytest.mark.parametrize("kind", ["Some", "Steps"])
def test_only_the_outputs_that_were_asked_for_run(kind: str) -> None:
    extra = {"count": 1} if kind == "Steps" else {}
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "t": (kind, {"number": ("s", 0), **extra}),
        "f": ("Fail", {"number": ("s", 0)}),
        "o": ("Show", {"number": ("t", 0), "label": ""}),
        "p": ("Show", {"number": ("f", 0), "label": ""}),
    }
    _, recorder = run(nodes, targets=["o"])
    assert recorder.texts() == ["2"]


def test_equal_nodes_are_computed_once_and_both_outputs_told() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "t": ("Start", {"value": 2}),
        "g": ("Some", {"number": ("s", 0)}),
        "h": ("Some", {"number": ("t", 0)}),
        "o": ("Watch", {"number": ("g", 0), "label": ""}),
        "p": ("Watch", {"number": ("h", 0), "label": ""}),
    }
    _, recorder = run(nodes)
    assert fakes.calls == ["Start 2"] and recorder.texts() == ["2", "2"]
    assert [node for node, _ in recorder.pairs("executed")] == ["o", "p"]

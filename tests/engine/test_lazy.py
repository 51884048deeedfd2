"""Lazy inputs: what a node does not ask for never runs."""

from __future__ import annotations

from typing import Any

import fakes
from growing import Nodes, run

from onnxflow.engine.cache import ResultCache


def choice(which: int, **changes: Any) -> Nodes:
    return {
        "s": ("Start", {"value": 2}),
        "t": ("Start", {"value": 4}),
        "w": ("Start", {"value": which}),
        "c": ("Choose", {"which": ("w", 0), "a": ("s", 0), "b": ("t", 0)}),
        "o": ("Show", {"number": ("c", 0), "label": ""}),
        **changes,
    }


def test_a_node_asks_again_until_it_has_what_it_needs_and_the_rest_never_runs() -> None:
    # `which` is linked to a node of another type than INT, so type it in as well: the link is what counts.
    nodes = choice(0)
    nodes["w"] = ("Whole", {"value": 0})
    _, recorder = run(nodes)
    assert fakes.calls == [
        "asked None None None", "Whole 0", "asked 0 None None", "Start 2", "asked 0 2 None",
        "Choose 0 2 None", "Show 2",
    ]  # fmt: skip
    assert recorder.texts() == ["2"] and ("t", "t") not in recorder.pairs("executing")
    assert [node for node, _ in recorder.pairs("executing")] == ["w", "s", "c", "o"]


def test_the_other_side_of_the_choice() -> None:
    nodes = choice(1)
    nodes["w"] = ("Whole", {"value": 1})
    assert run(nodes)[1].texts() == ["4"] and "Start 2" not in fakes.calls


def test_a_value_typed_in_needs_no_asking() -> None:
    nodes = choice(1)
    del nodes["w"]
    nodes["c"] = ("Choose", {"which": 1, "a": ("s", 0), "b": ("t", 0)})
    run(nodes)
    assert fakes.calls == ["asked 1 None None", "Start 4", "asked 1 None 4", "Choose 1 None 4", "Show 4"]


def test_with_lists_whatever_one_element_asks_for_runs() -> None:
    nodes = choice(1)
    nodes["w"] = ("Wholes", {})
    nodes["t"] = ("Spread", {"count": 3})
    assert run(nodes)[1].texts() == ["2", "1", "2"]  # 0 takes a, the others b, whose last element repeats


def test_without_a_hook_a_lazy_input_is_never_needed() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "c": ("Careless", {"a": ("s", 0)}),
        "o": ("Show", {"number": ("c", 0), "label": ""}),
    }
    assert run(nodes)[1].texts() == ["7"] and fakes.calls == ["Show 7"]


def test_what_another_node_needs_anyway_is_given() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "c": ("Careless", {"a": ("s", 0)}),
        "b": ("Add", {"a": ("c", 0), "b": ("s", 0), "scale": 1}),
        "o": ("Show", {"number": ("b", 0), "label": ""}),
        "p": ("Show", {"number": ("s", 0), "label": "p"}),
    }
    run(nodes)
    assert fakes.calls.count("Start 2") == 1


def test_the_report_has_what_ran_and_a_second_run_asks_nothing() -> None:
    cache = ResultCache()
    nodes = choice(0)
    nodes["w"] = ("Whole", {"value": 0})
    report, _ = run(nodes, cache)
    assert [node.id for node in report.nodes] == ["w", "s", "c", "o"]
    report, recorder = run(nodes, cache)
    assert fakes.calls == [] and recorder.texts() == ["2"]
    assert [(node.id, node.cached) for node in report.nodes] == [("o", True)]
    # The choice is made anew: what it did not need the last time runs now, the rest is known.
    nodes["w"] = ("Whole", {"value": 1})
    run(nodes, cache)
    assert fakes.calls[:2] == ["asked None None None", "Whole 1"] and "Start 2" not in fakes.calls

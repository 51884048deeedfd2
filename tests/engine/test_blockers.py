"""A blocker in the place of a value: what reads it does not run, and the run goes on."""

from __future__ import annotations

import fakes
from growing import Nodes, run

from onnxflow.engine.cache import ResultCache


def show(origin: str, slot: int = 0) -> tuple[str, dict[str, object]]:
    return "Show", {"number": (origin, slot), "label": ""}


def test_a_silent_blocker_skips_what_reads_it_and_nothing_is_said() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "b": ("Block", {"number": ("s", 0), "when": 2, "message": ""}),
        "a": ("Add", {"a": ("b", 0), "b": ("s", 0), "scale": 1}),
        "o": show("a"),
        "p": show("s"),
    }
    _, recorder = run(nodes)
    assert fakes.calls == ["Start 2", "Show 2"]
    assert recorder.texts() == ["2"]
    assert "execution_error" not in recorder.types() and "execution_success" in recorder.types()
    assert [node for node, _ in recorder.pairs("executed")] == ["p"]


def test_a_blocker_with_a_message_is_told_once_and_the_run_ends_in_success() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "b": ("Block", {"number": ("s", 0), "when": 2, "message": "enough"}),
        "a": ("Add", {"a": ("b", 0), "b": ("s", 0), "scale": 1}),
        "o": show("a"),
    }
    _, recorder = run(nodes)
    (told,) = recorder.data("execution_error")
    assert told["exception_type"] == "ExecutionBlocked" and told["exception_message"] == "Execution Blocked: enough"
    assert (told["node_id"], told["node_type"], told["executed"]) == ("a", "Add", ["s", "b"])
    assert recorder.types()[-2:] == ["execution_success", "executing"]


def test_in_a_list_only_the_call_that_meets_the_blocker_is_skipped() -> None:
    nodes: Nodes = {
        "l": ("Spread", {"count": 4}),
        "b": ("Block", {"number": ("l", 0), "when": 2, "message": "two"}),
        "o": show("b"),
    }
    _, recorder = run(nodes)
    assert recorder.texts() == ["0", "1", "3"]
    assert len(recorder.data("execution_error")) == 1


def test_a_node_that_takes_lists_is_skipped_for_one_blocker_among_them() -> None:
    nodes: Nodes = {
        "l": ("Spread", {"count": 4}),
        "b": ("Block", {"number": ("l", 0), "when": 2, "message": ""}),
        "g": ("Gather", {"numbers": ("b", 0), "times": 1}),
        "o": show("g"),
    }
    assert run(nodes)[1].texts() == []


def test_one_blocker_stands_for_all_outputs() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "b": ("BlockBoth", {"number": ("s", 0)}),
        "o": show("b", 0),
        "p": show("b", 1),
    }
    run(nodes)
    assert fakes.calls == ["Start 2"]


def test_a_blocker_stays_in_the_cache_and_blocks_again() -> None:
    cache = ResultCache()
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "b": ("Block", {"number": ("s", 0), "when": 2, "message": "enough"}),
        "o": show("b"),
    }
    for calls in (["Start 2"], []):
        _, recorder = run(nodes, cache)
        assert fakes.calls == calls and recorder.texts() == [] and len(recorder.data("execution_error")) == 1

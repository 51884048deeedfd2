"""Running: pruning, lists, caching, events, errors, cancelling."""

from __future__ import annotations

import signal
import threading
import time
from typing import Any

import fakes
import pytest
from fakes import CATALOG, DISK, no_sessions, workflow
from hypothesis import given
from hypothesis import strategies as st
from living import living_in_a_chain
from recorder import Recorder

from onnxflow.cancel import CancelToken
from onnxflow.engine.cache import ResultCache
from onnxflow.engine.events import Event
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import interruptible, new_run_id, run_workflow
from onnxflow.errors import Cancelled, InputError, NodeError

Nodes = dict[str, tuple[str, dict[str, Any]]]


def run(
    nodes: Nodes, cache: ResultCache | None = None, cancel: CancelToken | None = None
) -> tuple[RunReport, Recorder]:
    fakes.calls.clear()
    recorder = Recorder()
    report = run_workflow(
        workflow(**nodes), CATALOG, DISK, no_sessions(), cache=cache, listeners=[recorder], cancel=cancel
    )
    return report, recorder


CHAIN: Nodes = {
    "s": ("Start", {"value": 2}),
    "a": ("Add", {"a": ("s", 0), "b": ("s", 0), "scale": 1.0}),
    "o": ("Show", {"number": ("a", 0), "label": "n="}),
}


def test_a_chain_runs_in_order_and_tells_what_happens() -> None:
    report, recorder = run({**CHAIN, "unused": ("Start", {"value": 99})})
    assert fakes.calls == ["Start 2", "Add 2 2", "Show 4.0"]
    assert recorder.texts() == ["n=4.0"]
    assert recorder.types() == [
        "execution_start", "execution_cached", "executing", "executing", "executing", "executed", "execution_success",
        "executing",
    ]  # fmt: skip
    assert {event.data["prompt_id"] for event in recorder.events} == {report.run_id}
    assert [(node.id, node.cached) for node in report.nodes] == [("s", False), ("a", False), ("o", False)]


def test_hidden_inputs_are_filled_in() -> None:
    _, recorder = run(CHAIN)
    (output,) = [event.data["output"] for event in recorder.events if event.type == "executed"]
    assert output == {"text": ["n=4.0"], "id": ["o"], "ids": ["s,a,o"]}


def test_two_equal_nodes_are_computed_once_whatever_their_ids() -> None:
    nodes: Nodes = {**CHAIN, "t": ("Start", {"value": 2}), "a": ("Add", {"a": ("s", 0), "b": ("t", 0), "scale": 1})}
    run(nodes)
    assert fakes.calls == ["Start 2", "Add 2 2", "Show 4.0"]


def test_equal_output_nodes_are_both_announced() -> None:
    watch = ("Watch", {"number": ("s", 0), "label": ""})
    _, recorder = run({"s": ("Start", {"value": 2}), "p": watch, "q": watch})
    assert recorder.nodes("executing") == ["s", "p"] and recorder.nodes("executed") == ["p", "q"]


def test_a_second_run_with_a_cache_computes_only_what_changed() -> None:
    cache = ResultCache()
    run(CHAIN, cache)
    report, recorder = run(CHAIN, cache)
    assert fakes.calls == [] and recorder.texts() == ["n=4.0"]
    assert [node.cached for node in report.nodes] == [True]
    assert recorder.events[1].data["nodes"] == ["s", "a", "o"]
    run({**CHAIN, "o": ("Show", {"number": ("a", 0), "label": "other"})}, cache)
    assert fakes.calls == ["Show 4.0"]


def test_the_cache_keeps_what_the_last_workflow_contained() -> None:
    cache = ResultCache()
    run(CHAIN, cache)
    other: Nodes = {"s": ("Start", {"value": 2}), "o": ("Show", {"number": ("s", 0), "label": ""})}
    run(other, cache)
    assert fakes.calls == ["Show 2"] and len(cache) == 2


def test_renumbered_nodes_are_found_in_the_cache() -> None:
    cache = ResultCache()
    run({"1": ("Start", {"value": 2}), "9": ("Watch", {"number": ("1", 0), "label": ""})}, cache)
    run({"7": ("Start", {"value": 2}), "8": ("Watch", {"number": ("7", 0), "label": ""})}, cache)
    assert fakes.calls == []


def test_what_was_finished_before_an_error_is_kept() -> None:
    cache = ResultCache()
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "f": ("Fail", {"number": ("s", 0)}),
        "o": ("Show", {"number": ("f", 0), "label": ""}),
    }
    for expected in (["Start 2"], []):
        with pytest.raises(NodeError):
            run(nodes, cache)
        assert fakes.calls == expected


def test_lists_are_spread_over_calls_and_the_shorter_repeats_its_last() -> None:
    nodes: Nodes = {
        "l": ("Spread", {"count": 3}), "m": ("Spread", {"count": 2}),
        "a": ("Add", {"a": ("l", 0), "b": ("m", 0), "scale": 1}),
        "o": ("Show", {"number": ("a", 0), "label": ""}),
    }  # fmt: skip
    _, recorder = run(nodes)
    assert recorder.texts() == ["0.0", "2.0", "3.0"]
    nodes["g"] = ("Gather", {"numbers": ("l", 0), "times": 10})
    nodes["o"] = ("Show", {"number": ("g", 0), "label": ""})
    assert run(nodes)[1].texts() == ["30"]


def test_an_empty_list_is_an_error_that_names_the_node() -> None:
    with pytest.raises(InputError) as caught:
        run({"l": ("Spread", {"count": 0}), "o": ("Show", {"number": ("l", 0), "label": ""})})
    assert caught.value.node is not None and caught.value.node.id == "o"


def test_what_nobody_foresaw_names_the_node_and_keeps_the_cause() -> None:
    recorder = Recorder()
    nodes = workflow(
        s=("Start", {"value": 2}), f=("Fail", {"number": ("s", 0)}), o=("Show", {"number": ("f", 0), "label": ""})
    )
    with pytest.raises(NodeError) as caught:
        run_workflow(nodes, CATALOG, DISK, no_sessions(), listeners=[recorder])
    assert "node f (The f, Fail)" in caught.value.render() and isinstance(caught.value.__cause__, RuntimeError)
    assert recorder.types()[-2:] == ["execution_error", "executing"]
    told = recorder.events[-2].data
    assert (told["node_id"], told["executed"], told["exception_type"]) == ("f", ["s"], "NodeError")
    assert "what nobody foresaw" in told["exception_message"]
    assert told["current_inputs"] == {"number": ["Link(node='s', slot=0)"]}
    assert "raise RuntimeError" in "".join(told["traceback"])


def test_several_outputs() -> None:
    nodes: Nodes = {"p": ("Pair", {"name": "left"}), "o": ("Show", {"number": ("p", 0), "label": ""})}
    assert run(nodes)[1].texts() == ["1"]


def test_progress_is_told_and_cancelling_stops_at_a_step() -> None:
    token = CancelToken()
    seen: list[Event] = []

    def listener(event: Event) -> None:
        seen.append(event)
        if event.type == "progress" and event.data["value"] == 2:
            token.cancel()

    nodes = workflow(
        s=("Start", {"value": 2}),
        p=("Steps", {"number": ("s", 0), "count": 100}),
        o=("Show", {"number": ("p", 0), "label": ""}),
    )
    with pytest.raises(Cancelled) as caught:
        run_workflow(nodes, CATALOG, DISK, no_sessions(), listeners=[listener], cancel=token)
    assert [e.data["value"] for e in seen if e.type == "progress"] == [1, 2]
    assert seen[-2].type == "execution_interrupted" and seen[-2].data["node_id"] == "p"
    assert caught.value.exit_code == 130


@pytest.mark.parametrize("slow", [False, True])
def test_ctrl_c_stops_the_work_and_waits_for_it(slow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxflow.engine.run._PATIENCE", 0.05)
    told: list[str] = []
    # A shell that puts a program into the background has it ignore Ctrl-C: without this the test would wait for ever.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    token = CancelToken()
    stopped = threading.Event()

    def work() -> None:
        import _thread

        _thread.interrupt_main()
        while not token.cancelled:
            time.sleep(0.005)
        while slow and not told:
            time.sleep(0.005)
        stopped.set()
        token.check()

    try:
        with pytest.raises(Cancelled):
            interruptible(work, token, lambda: told.append("stopping"))
    finally:
        signal.signal(signal.SIGINT, before)
    assert stopped.is_set() and len(told) <= 1


def test_errors_of_the_work_reach_the_caller() -> None:
    def work() -> None:
        raise InputError("no")

    with pytest.raises(InputError):
        interruptible(work, CancelToken())
    assert interruptible(lambda: 5, CancelToken()) == 5


def test_run_ids_look_like_uuids() -> None:
    assert [len(part) for part in new_run_id().split("-")] == [8, 4, 4, 4, 12]


def test_values_are_dropped_after_their_last_reader() -> None:
    # Each step sees its own input; twins (equal makers) aside, nothing older is alive.
    assert living_in_a_chain() == ([1] * 6, 0)


@given(st.lists(st.lists(st.integers(0, 12), min_size=2, max_size=2), min_size=1, max_size=12))
def test_any_graph_gives_the_same_with_and_without_a_cache(reads: list[list[int]]) -> None:
    nodes: Nodes = {"n0": ("Start", {"value": 4})}
    for i, (a, b) in enumerate(reads, 1):
        nodes[f"n{i}"] = ("Add", {"a": (f"n{a % i}", 0), "b": (f"n{b % i}", 0), "scale": 0.5})
    nodes["o"] = ("Show", {"number": (f"n{len(reads)}", 0), "label": ""})
    plain = run(nodes)[1].texts()
    cache = ResultCache()
    assert run(nodes, cache)[1].texts() == plain
    assert run(nodes, cache)[1].texts() == plain and fakes.calls == []


def test_a_chain_of_5000_nodes() -> None:
    nodes: Nodes = {"0": ("Start", {"value": 2})}
    for i in range(1, 5000):
        nodes[str(i)] = ("Add", {"a": (str(i - 1), 0), "b": (str(i - 1), 0), "scale": 0.5})
    nodes["o"] = ("Show", {"number": ("4999", 0), "label": ""})
    assert run(nodes)[1].texts() == ["2.0"]

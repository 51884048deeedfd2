"""Coroutine nodes run beside the others, and hear of errors and of the end of the run."""

from __future__ import annotations

import time

import growing
import pytest
from growing import Nodes, run
from recorder import Recorder

from onnxflow.cancel import CancelToken
from onnxflow.engine.events import Event
from onnxflow.errors import Cancelled, NodeError


def later(number: str, milliseconds: int) -> tuple[str, dict[str, object]]:
    return "Sleep", {"number": (number, 0), "milliseconds": milliseconds}


def test_branches_sleep_at_once_and_others_go_on_meanwhile() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "a": later("s", 400),
        "b": later("s", 401),
        "c": ("Add", {"a": ("a", 0), "b": ("b", 0), "scale": 1}),
        "o": ("Show", {"number": ("c", 0), "label": ""}),
        "p": ("Show", {"number": ("s", 0), "label": "first "}),
    }
    started = time.perf_counter()
    _, recorder = run(nodes)
    assert time.perf_counter() - started < 0.75
    assert recorder.texts() == ["first 2", "4.0"]
    assert growing.running == ["onnxflow-tasks"] * 2


def test_the_elements_of_a_list_sleep_at_once_and_stay_in_order() -> None:
    nodes: Nodes = {
        "l": ("Spread", {"count": 8}),
        "a": later("l", 100),
        "o": ("Show", {"number": ("a", 0), "label": ""}),
    }
    started = time.perf_counter()
    assert run(nodes)[1].texts() == [str(i) for i in range(8)]
    assert time.perf_counter() - started < 0.6


def test_an_error_ends_the_run_and_is_heard_by_the_others() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 13}),
        "t": ("Start", {"value": 2}),
        "a": later("t", 60_000),
        "b": later("s", 50),
        "o": ("Show", {"number": ("a", 0), "label": ""}),
        "p": ("Show", {"number": ("b", 0), "label": ""}),
    }
    recorder = Recorder()
    with pytest.raises(NodeError) as caught:
        run(nodes, recorder=recorder)
    assert caught.value.node is not None and caught.value.node.id == "b"
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert growing.running[-1] == "cancelled"
    assert "thirteen" in recorder.data("execution_error")[0]["exception_message"]


def test_cancelling_reaches_a_coroutine() -> None:
    token = CancelToken()
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "a": later("s", 60_000),
        "o": ("Show", {"number": ("a", 0), "label": ""}),
    }

    class Stopping(Recorder):
        def __call__(self, event: Event) -> None:
            super().__call__(event)
            if event.data.get("node") == "a":
                token.cancel()

    recorder = Stopping()
    with pytest.raises(Cancelled):
        run(nodes, cancel=token, recorder=recorder)
    assert "execution_interrupted" in recorder.types()


def test_cancelling_while_everything_waits_reaches_a_coroutine() -> None:
    import threading

    token = CancelToken()
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "a": later("s", 60_000),
        "o": ("Show", {"number": ("a", 0), "label": ""}),
    }
    threading.Timer(0.2, token.cancel).start()
    with pytest.raises(Cancelled):
        run(nodes, cancel=token)
    assert growing.running[-1] == "cancelled"

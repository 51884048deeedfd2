"""Nodes beside each other, in threads."""

from __future__ import annotations

import threading
import time
from typing import Annotated, Any

import pytest
from fakes import CATALOG, DISK, Number, no_sessions, workflow
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.cancel import CancelToken
from onnxflow.engine.events import Event
from onnxflow.engine.run import run_workflow
from onnxflow.errors import Cancelled, NodeError
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Int
from onnxflow.values import Model

Nodes = dict[str, tuple[str, dict[str, Any]]]
Whole = Annotated[int, Int(0, 10**9)]
together: list[int] = []
_inside = 0
_lock = threading.Lock()


def _work(milliseconds: int) -> None:
    global _inside
    with _lock:
        _inside += 1
        together.append(_inside)
    time.sleep(milliseconds / 1000)
    with _lock:
        _inside -= 1


@node("Work", category="test")
def work(ctx: Context, number: Number, milliseconds: Whole = 100) -> Number:
    _work(milliseconds)
    ctx.check_cancelled()
    return number


@node("Network", category="test")
def network(number: Number, model: Model | None = None) -> Number:
    """Could run a network: it stays in the run's own thread."""
    together.append(-1 if threading.current_thread().name.startswith("onnxflow-job") else 0)
    return number


BESIDE = CATALOG.with_specs([work, network])


def run(nodes: Nodes, jobs: int, cancel: CancelToken | None = None) -> list[Event]:
    together.clear()
    events: list[Event] = []
    run_workflow(workflow(**nodes), BESIDE, DISK, no_sessions(), listeners=[events.append], jobs=jobs, cancel=cancel)
    return events


def texts(events: list[Event]) -> list[str]:
    return [text for e in events if e.type == "executed" for text in e.data["output"].get("text", ())]


def branches(count: int, milliseconds: int = 100) -> Nodes:
    nodes: Nodes = {"s": ("Start", {"value": 2}), "sum0": ("Start", {"value": 0})}
    for i in range(1, count + 1):
        # Not equal, or they would be computed once.
        nodes[f"w{i}"] = ("Work", {"number": ("s", 0), "milliseconds": milliseconds + i})
        nodes[f"sum{i}"] = ("Add", {"a": (f"sum{i - 1}", 0), "b": (f"w{i}", 0), "scale": 1})
    nodes["o"] = ("Show", {"number": (f"sum{count}", 0), "label": ""})
    return nodes


@pytest.mark.parametrize(("jobs", "most"), [(1, 1), (2, 2), (3, 3)])
def test_so_many_run_at_once(jobs: int, most: int) -> None:
    assert texts(run(branches(6), jobs)) == ["12.0"]
    assert max(together) == most


def test_what_may_run_a_network_stays_where_it_is() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}), "n": ("Network", {"number": ("s", 0)}),
        "o": ("Show", {"number": ("n", 0), "label": ""}),
    }  # fmt: skip
    assert texts(run(nodes, 4)) == ["2"] and together == [0]


def test_an_error_names_its_node_and_ends_the_run() -> None:
    nodes = branches(3)
    nodes["f"] = ("Fail", {"number": ("s", 0)})
    nodes["p"] = ("Show", {"number": ("f", 0), "label": ""})
    with pytest.raises(NodeError) as caught:
        run(nodes, 3)
    assert caught.value.node is not None and caught.value.node.id == "f"
    assert threading.active_count() < 20 and not [t for t in threading.enumerate() if t.name.startswith("onnxflow-job")]


def test_cancelling() -> None:
    token = CancelToken()
    threading.Timer(0.15, token.cancel).start()
    with pytest.raises(Cancelled):
        run(branches(8, 300), 2, token)
    assert len(together) <= 4


@given(st.lists(st.lists(st.integers(0, 12), min_size=2, max_size=2), min_size=1, max_size=12))
def test_any_graph_gives_the_same(reads: list[list[int]]) -> None:
    nodes: Nodes = {"n0": ("Start", {"value": 4})}
    for i, (a, b) in enumerate(reads, 1):
        nodes[f"n{i}"] = ("Add", {"a": (f"n{a % i}", 0), "b": (f"n{b % i}", 0), "scale": 0.5})
        nodes[f"o{i}"] = ("Show", {"number": (f"n{i}", 0), "label": ""})
    assert sorted(texts(run(nodes, 1))) == sorted(texts(run(nodes, 3)))

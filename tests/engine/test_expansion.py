"""Nodes that make nodes to run in their place."""

from __future__ import annotations

from typing import Any

import fakes
import pytest
from growing import Nodes, run

from onnxflow.engine.cache import ResultCache
from onnxflow.errors import InputError, NodeError


def replaced(nodes: Any, result: Any = None, **others: Any) -> Nodes:
    """A workflow with a node "r" that has ``nodes`` run in its place."""
    result = ["~.x", 0] if result is None else result
    return {
        "s": ("Start", {"value": 2}),
        "r": ("Replace", {"number": ("s", 0), "nodes": nodes, "result": {"__value__": result}}),
        "o": ("Show", {"number": ("r", 0), "label": ""}),
        **others,
    }


def made(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


DOUBLE = {"~.x": made("Add", a="input", b="input")}


def test_the_result_is_that_of_the_nodes_in_its_place() -> None:
    _, recorder = run(replaced(DOUBLE))
    assert recorder.texts() == ["replaced", "4.0"]
    assert recorder.pairs("executing") == [("s", "s"), ("r", "r"), ("r.x", "r"), ("o", "o")]


def test_a_loop_of_a_thousand_steps_is_no_recursion() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "c": ("Countdown", {"number": ("s", 0), "times": 1000}),
        "o": ("Show", {"number": ("c", 0), "label": ""}),
    }
    report, recorder = run(nodes)
    assert recorder.texts() == ["1002.0"]
    assert {display for _, display in recorder.pairs("executing")} == {"s", "c", "o"}
    assert len(report.nodes) == 2003


def test_only_what_the_result_needs_runs_but_outputs_do() -> None:
    nodes = {
        **DOUBLE,
        "~.unused": made("Fail", number="input"),
        "~.shown": made("Show", number=["~.x", 0], label="in "),
    }
    _, recorder = run(replaced(nodes))
    assert sorted(recorder.texts()) == ["4.0", "in 4.0", "replaced"]
    assert ("r.shown", "r") in recorder.pairs("executed")


def test_display_may_be_overridden() -> None:
    nodes = {"~.x": {**made("Add", a="input", b="input"), "override_display_id": "s"}}
    assert ("r.x", "s") in run(replaced(nodes))[1].pairs("executing")


def test_a_list_may_be_values_and_expansions_mixed() -> None:
    nodes: Nodes = {
        "l": ("Spread", {"count": 4}),
        "m": ("Some", {"number": ("l", 0)}),
        "o": ("Show", {"number": ("m", 0), "label": ""}),
    }
    assert run(nodes)[1].texts() == ["0", "2.0", "2", "6.0"]


def test_a_node_that_sees_the_graph_may_run_a_copy_of_what_ran_before() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "p": ("Sight", {"flow": ("s", 0)}),
        "o": ("Show", {"number": ("p", 0), "label": ""}),
    }
    assert run(nodes)[1].texts() == ["40"] and fakes.calls == ["Start 2", "Start 40", "Show 40"]


def test_a_result_that_came_of_an_expansion_is_found_again() -> None:
    cache = ResultCache()
    nodes = replaced(DOUBLE)
    run(nodes, cache)
    _, recorder = run(nodes, cache)
    assert fakes.calls == [] and recorder.texts() == ["4.0"]
    nodes["o"] = ("Show", {"number": ("r", 0), "label": "again "})
    _, recorder = run(nodes, cache)
    assert fakes.calls == ["Show 4.0"] and recorder.texts() == ["again 4.0"]


def test_what_ran_inside_is_known_when_the_node_runs_again() -> None:
    cache = ResultCache()
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "c": ("Countdown", {"number": ("s", 0), "times": 3}),
        "o": ("Show", {"number": ("c", 0), "label": ""}),
    }
    run(nodes, cache)
    run(nodes, cache)  # everything is known, and what is behind it stays known
    nodes["c"] = ("Countdown", {"number": ("s", 0), "times": 4})
    run(nodes, cache)
    assert [call for call in fakes.calls if call.startswith("Add")] == ["Add 5.0 1"]


@pytest.mark.parametrize(
    ("nodes", "result", "said"),
    [
        ({"s": made("Start", value=2)}, ["s", 0], "there is one already"),
        ({"~.x": made("Missing")}, None, "which does not exist"),
        ({"~.x": made("Add", a="input")}, None, "has no b"),
        ({"~.x": made("Add", a=["gone", 0], b="input")}, None, "not in the run"),
        ({"~.x": made("Add", a=["s", 3], b="input")}, None, "output 3 of node s"),
        (DOUBLE, ["~.y", 0], "output 0 of node r.y"),
        (DOUBLE, ["~.x", 2], "output 2 of node r.x"),
        ({"~.x": "no node"}, None, "is no node"),
        ({"~.x": made("Start", value="many")}, None, "Failed to convert"),
        ("nonsense", None, "not nodes by id"),
        ({"~.x": made("Add", a=["~.y", 0], b="input"), "~.y": made("Add", a=["~.x", 0], b="input")}, None,
         "Dependency cycle detected: r.x -> r.y -> r.x"),
    ],
)  # fmt: skip
def test_what_cannot_run_names_the_node_that_made_it(nodes: Any, result: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        run(replaced(nodes, result))
    assert said in caught.value.render()
    assert caught.value.node is not None and caught.value.node.id == "r"


def test_an_error_inside_names_the_workflows_own_node() -> None:
    with pytest.raises(NodeError) as caught:
        run(replaced({"~.x": made("Fail", number="input")}))
    assert caught.value.node is not None and caught.value.node.id == "r"
    assert caught.value.where == "node r.x (Fail), which runs in its place"
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_node_that_runs_in_its_own_place_for_ever_is_a_cycle() -> None:
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "c": ("Mirror", {"number": ("s", 0)}),
        "o": ("Show", {"number": ("c", 0), "label": ""}),
    }
    with pytest.raises(InputError, match="Dependency cycle detected"):
        run(nodes)


def test_a_class_that_does_not_say_so_may_not_expand() -> None:
    nodes: Nodes = {"s": ("Liar", {}), "o": ("Show", {"number": ("s", 0), "label": ""})}
    with pytest.raises(InputError, match="does not say that it may"):
        run(nodes)

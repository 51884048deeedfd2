"""Classes made for ComfyUI, run: what its engine does with them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import disk_at, no_sessions

from onnxflow.engine.cache import ResultCache
from onnxflow.engine.events import Event
from onnxflow.engine.run import run_workflow
from onnxflow.errors import InputError, NodeError, WorkflowError
from onnxflow.nodes.catalog import NodeCatalog, builtin_catalog
from onnxflow.nodes.custom_nodes import load_custom_nodes
from onnxflow.workflow.read import workflow_from_document

PACKS = Path(__file__).parents[1] / "custom_nodes"
Nodes = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> NodeCatalog:
    found, packs = load_custom_nodes([PACKS], builtin_catalog(), disk_at(tmp_path_factory.mktemp("disk")))
    assert [(pack.name, pack.problem, pack.refused) for pack in packs] == [
        ("newer_pack", "", ()),
        ("testing_pack", "", ()),
    ]
    return found


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def grey(value: float) -> dict[str, Any]:
    return node("StubConstantImage", value=value, height=8, width=8, batch_size=1)


def mask(value: float) -> dict[str, Any]:
    return node("StubMask", value=value, height=8, width=8, batch_size=1)


class Ran:
    """A run with its events."""

    def __init__(self, catalog: NodeCatalog, nodes: Nodes, folder: Path, cache: ResultCache | None = None) -> None:
        self.events: list[Event] = []
        self.seconds = time.perf_counter()
        self.report = run_workflow(
            workflow_from_document(nodes, "test.json"),
            catalog,
            disk_at(folder),
            no_sessions(),
            cache=cache,
            listeners=[self.events.append],
        )
        self.seconds = time.perf_counter() - self.seconds

    @property
    def texts(self) -> list[str]:
        return [text for e in self.events if e.type == "executed" for text in e.data["output"].get("text", ())]

    @property
    def executing(self) -> list[str]:
        return [e.data["node"] for e in self.events if e.type == "executing" and e.data["node"]]

    @property
    def displayed(self) -> set[str]:
        return {e.data["display_node"] for e in self.events if e.type == "executing" and e.data["node"]}


def shown(catalog: NodeCatalog, folder: Path, cache: ResultCache | None = None, **nodes: dict[str, Any]) -> Ran:
    """A run of nodes whose "x" is shown."""
    return Ran(catalog, {**nodes, "show": node("TestShow", value=["x", 0])}, folder, cache)


@pytest.mark.parametrize(
    ("value", "text", "ran"),
    [
        (0.0, "0.250", ["m", "a", "x", "show"]),
        (1.0, "0.750", ["m", "b", "x", "show"]),
        (0.5, "0.500", ["m", "a", "b", "x", "show"]),
    ],
)
def test_lazy_inputs(catalog: NodeCatalog, tmp_path: Path, value: float, text: str, ran: list[str]) -> None:
    mixed = node("TestLazyMixImages", image1=["a", 0], image2=["b", 0], mask=["m", 0])
    run = shown(catalog, tmp_path, a=grey(0.25), b=grey(0.75), m=mask(value), x=mixed)
    assert run.texts == [text] and run.executing == ran


def test_what_a_node_is_given_is_its_own(catalog: NodeCatalog, tmp_path: Path) -> None:
    # The mix writes into its first picture, which another node reads as well.
    mixed = node("TestLazyMixImages", image1=["a", 0], image2=["b", 0], mask=["m", 0])
    both = node("TestMakeListNode", value1=["mix", 0], value2=["a", 0])
    run = shown(catalog, tmp_path, a=grey(0.25), b=grey(0.75), m=mask(0.5), mix=mixed, x=both)
    assert run.texts == ["0.500, 0.250"]


def test_lists_and_lazy_inputs(catalog: NodeCatalog, tmp_path: Path) -> None:
    nodes = {
        "a": grey(0.25), "b": grey(0.75), "m": mask(0.0), "n": mask(1.0),
        "masks": node("TestMakeListNode", value1=["m", 0], value2=["n", 0]),
        "x": node("TestLazyMixImages", image1=["a", 0], image2=["b", 0], mask=["masks", 0]),
    }  # fmt: skip
    assert shown(catalog, tmp_path, **nodes).texts == ["0.250, 0.750"]


def test_inputs_that_are_not_declared(catalog: NodeCatalog, tmp_path: Path) -> None:
    mean = node("TestVariadicAverage", input1=["a", 0], input2=["b", 0], input3=["c", 0], note="not for the function")
    assert shown(catalog, tmp_path, a=grey(0.0), b=grey(0.5), c=grey(1.0), x=mean).texts == ["0.500"]
    with pytest.raises(WorkflowError) as caught:
        shown(catalog, tmp_path, a=grey(0.0), x=node("TestVariadicAverage", input1=["a", 0], input2=["gone", 0]))
    assert [problem.code for problem in caught.value.problems] == ["link_to_missing_node"]


def test_inputs_of_any_name_and_type(catalog: NodeCatalog, tmp_path: Path) -> None:
    first = node("TestFirstOfAny", any_02=["a", 0], text="typed in", listed={"__value__": [1, 2]})
    mixed = node("TestLazyMixImages", image1=["f", 0], image2=["a", 0], mask=["m", 0])
    count = node("TestIntMathOperation", a=["f", 1], b=0, operation="add")  # any_02 comes first in the file
    both = node("TestMakeListNode", value1=["x1", 0], value2=["count", 0])
    run = shown(catalog, tmp_path, a=grey(0.25), m=mask(0.5), f=first, x1=mixed, count=count, x=both)
    assert run.texts == ["0.250, 3"]
    steps = [e.data for e in run.events if e.type == "progress"]
    assert [(data["node"], data["value"], data["max"]) for data in steps] == [("f", 1, 3), ("f", 2, 3), ("f", 3, 3)]


@pytest.mark.parametrize(
    ("kind", "inputs", "said"),
    [
        ("1", {"input1": 1.0, "input2": 2.5}, None),
        ("1", {"input1": 1.0, "input2": "two"}, ["input1 - input2 is no number", "input2 - input2 is no number"]),
        ("2", {"input1": ["i", 0], "input2": 0.5}, None),
        ("2", {"input1": 0.5, "input2": ["p", 0]},
         ["input1 - input2 is linked to no number", "input2 - input2 is linked to no number"]),
        ("3", {"input1": ["p", 0], "input2": 0.5}, None),
        ("3", {"input1": ["m", 0], "input2": 0.5}, ["input1, received_type(MASK) mismatch input_type(IMAGE,FLOAT)"]),
        ("4", {"input1": 19.0, "input2": 1.0}, None),
        ("4", {"input1": 21.0, "input2": 1.0}, ["input1"]),
        ("4", {"input1": 1.0, "input2": 11.0}, ["input2"]),
        ("4", {"input1": ["f", 0], "input2": 1.0}, None),
        ("5", {"input1": 100.0, "input2": 1.0}, None),
        ("5", {"input1": ["f", 0], "input2": 7.0}, ["input1 - no sevens, please", "input2 - no sevens, please"]),
    ],
)  # fmt: skip
def test_checks_of_the_class(
    catalog: NodeCatalog, tmp_path: Path, kind: str, inputs: dict[str, Any], said: list[str] | None
) -> None:
    nodes = {
        "i": node("StubInt", value=3), "f": node("StubFloat", value=30.0), "p": grey(0.5), "m": mask(0.5),
        "x": node(f"TestCustomValidation{kind}", **inputs),
    }  # fmt: skip
    if said is None:
        shown(catalog, tmp_path, **nodes)
        return
    with pytest.raises(WorkflowError) as caught:
        shown(catalog, tmp_path, **nodes)
    assert [problem.details for problem in caught.value.problems] == said


def test_a_check_that_is_a_coroutine(catalog: NodeCatalog, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="that is too long"):
        shown(catalog, tmp_path, a=grey(0.5), x=node("TestAsyncValidation", value=["a", 0], seconds=101.0))
    assert shown(catalog, tmp_path, a=grey(0.5), x=node("TestAsyncValidation", value=["a", 0], seconds=0.0)).texts


def test_is_changed(catalog: NodeCatalog, tmp_path: Path) -> None:
    cache = ResultCache()
    same = {"a": grey(0.5), "x": node("TestCustomIsChanged", image=["a", 0])}
    assert shown(catalog, tmp_path, cache, **same).executing == ["a", "x", "show"]
    assert shown(catalog, tmp_path, cache, **same).executing == []
    # One object a node, kept from run to run.
    calls = {"a": grey(0.5), "c": node("TestCustomIsChanged", image=["a", 0], should_change=True)}
    calls["x"] = node("TestMakeListNode", value1=["c", 1])
    first = shown(catalog, tmp_path, cache, **calls).texts
    assert first == ["1"]
    again = shown(catalog, tmp_path, cache, **calls)
    assert again.texts == ["2"] and again.executing == ["c", "x", "show"]


def test_is_changed_sees_values_and_no_links(catalog: NodeCatalog, tmp_path: Path) -> None:
    cache = ResultCache()

    def ran(value: float) -> list[str]:
        scaled = node("TestIsChangedWithConstants", image=["a", 0], value=value)
        return shown(catalog, tmp_path, cache, a=grey(0.5), x=scaled).executing

    assert ran(2.0) == ["a", "x", "show"]
    assert ran(2.0) == []
    assert ran(3.0) == ["x", "show"]
    assert ran(0.5) == ran(0.5) == ["x", "show"]  # it raises


def test_a_for_loop(catalog: NodeCatalog, tmp_path: Path) -> None:
    nodes = {
        "two": node("StubInt", value=2),
        "o": node("TestForLoopOpen", remaining=5, initial_value1=["two", 0]),
        "body": node("TestIntMathOperation", a=["o", 2], b=["two", 0], operation="multiply"),
        "x": node("TestForLoopClose", flow_control=["o", 0], initial_value1=["body", 0]),
    }
    run = shown(catalog, tmp_path, **nodes)
    assert run.texts == ["64"]
    assert run.displayed == {"two", "o", "body", "x", "show"}
    assert len(set(run.executing)) == len(run.executing) > 20


def test_a_loop_collects_pictures(catalog: NodeCatalog, tmp_path: Path) -> None:
    nodes = {
        "half": grey(0.5),
        "o": node("TestForLoopOpen", remaining=3, initial_value1=["half", 0]),
        "more": node("TestIsChangedWithConstants", image=["o", 2], value=0.9),
        "all": node("TestAccumulateNode", to_add=["more", 0], accumulation=["o", 3]),
        "c": node("TestForLoopClose", flow_control=["o", 0], initial_value1=["more", 0], initial_value2=["all", 0]),
        "x": node("TestAccumulationToListNode", accumulation=["c", 1]),
    }
    assert shown(catalog, tmp_path, **nodes).texts == ["0.450, 0.405, 0.365"]


def test_a_long_loop_runs_and_one_turn_more_computes_only_that(catalog: NodeCatalog, tmp_path: Path) -> None:
    cache = ResultCache()

    def ran(turns: int) -> Ran:
        nodes = {
            "o": node("TestForLoopOpen", remaining=turns, initial_value1=["one", 0]),
            "one": node("StubInt", value=1),
            "body": node("TestIntMathOperation", a=["o", 2], b=1, operation="add"),
            "x": node("TestForLoopClose", flow_control=["o", 0], initial_value1=["body", 0]),
        }
        return shown(catalog, tmp_path, cache, **nodes)

    assert ran(300).texts == ["301"]
    again = ran(300)
    assert again.texts == ["301"] and again.executing == []


def test_a_while_loop(catalog: NodeCatalog, tmp_path: Path) -> None:
    nodes = {
        "one": node("StubInt", value=1),
        "o": node("TestWhileLoopOpen", condition=True, initial_value0=["one", 0]),
        "body": node("TestIntMathOperation", a=["o", 1], b=2, operation="multiply"),
        "more": node("TestIntConditions", a=["body", 0], b=100, operation="<"),
        "x": node("TestWhileLoopClose", flow_control=["o", 0], condition=["more", 0], initial_value0=["body", 0]),
    }
    assert shown(catalog, tmp_path, **nodes).texts == ["128"]


def test_expansions_mixed_with_values(catalog: NodeCatalog, tmp_path: Path) -> None:
    nodes = {
        "p": node("StubFloat", value=0.05), "q": node("StubFloat", value=0.5), "r": node("StubFloat", value=0.75),
        "values": node("TestMakeListNode", value1=["p", 0], value2=["q", 0], value3=["r", 0]),
        "x": node("TestMixedExpansionReturns", input1=["values", 0]),
        "second": node("TestShow", value=["x", 1]),
    }  # fmt: skip
    assert sorted(shown(catalog, tmp_path, **nodes).texts) == ["0.050, 0.000, 0.875", "1.000, 1.000, 0.875"]


def test_a_cycle_that_comes_to_be(catalog: NodeCatalog, tmp_path: Path) -> None:
    cycle = node("TestDynamicDependencyCycle", input1=["a", 0], input2=["b", 0])
    with pytest.raises(InputError, match="Dependency cycle detected") as caught:
        shown(catalog, tmp_path, a=grey(0.25), b=grey(0.75), x=cycle)
    assert caught.value.node is not None and caught.value.node.id == "x"


def test_an_output_node_with_an_output(catalog: NodeCatalog, tmp_path: Path) -> None:
    output = node("TestOutputNodeWithSocketOutput", image=["a", 0], value=0.5)
    run = shown(catalog, tmp_path, a=grey(0.5), x=output)
    assert run.texts == ["0.25", "0.250"]


def test_an_output_node_inside_runs_too(catalog: NodeCatalog, tmp_path: Path) -> None:
    run = shown(catalog, tmp_path, a=grey(0.5), x=node("TestExpandsToOutput", image=["a", 0]))
    assert sorted(run.texts) == ["0.500", "1", "x.0.0.1"]
    told = [e.data for e in run.events if e.type == "executed"]
    assert ("x.0.0.1", "x") in [(data["node"], data["display_node"]) for data in told]


@pytest.mark.parametrize("verbose", [False, True])
def test_blockers(catalog: NodeCatalog, tmp_path: Path, verbose: bool) -> None:
    nodes = {
        "a": grey(0.25), "b": grey(0.75),
        "values": node("TestMakeListNode", value1=["a", 0], value2=["b", 0], value3=["a", 0]),
        "flags": node("TestIntConditions", a=["i", 0], b=["j", 0], operation="=="),
        "i": node("TestMakeListNode", value1=["one", 0], value2=["two", 0], value3=["three", 0]),
        "one": node("StubInt", value=1), "two": node("StubInt", value=2), "three": node("StubInt", value=3),
        "j": node("StubInt", value=2),
        "gate": node("TestExecutionBlocker", input=["values", 0], block=["flags", 0], verbose=verbose),
        "o": node("TestOutputNodeWithSocketOutput", image=["gate", 0], value=1.0),
    }  # fmt: skip
    run = Ran(catalog, nodes, tmp_path)
    assert run.texts == ["0.25", "0.25"]
    errors = [e.data for e in run.events if e.type == "execution_error"]
    assert [(e["node_id"], e["exception_message"]) for e in errors] == (
        [("o", "Execution Blocked: Blocked Execution")] if verbose else []
    )
    assert run.events[-2].type == "execution_success"


def test_a_blocker_in_place_of_all_outputs(catalog: NodeCatalog, tmp_path: Path) -> None:
    blocked = node("TestDictBlocker", input=["a", 0], block=True, verbose=False)
    assert shown(catalog, tmp_path, a=grey(0.25), x=blocked).texts == []


def test_sleeping_side_by_side(catalog: NodeCatalog, tmp_path: Path) -> None:
    nodes = {"a": grey(0.0), "b": grey(0.5), "c": grey(1.0)}
    sleeps = {f"image{i}": [name, 0] for i, name in enumerate("abc", 1)} | {f"sleep{i}": 0.3 for i in (1, 2, 3)}
    run = shown(catalog, tmp_path, **nodes, x=node("TestParallelSleep", **sleeps))
    assert run.texts == ["0.500"] and run.seconds < 0.85


def test_coroutines(catalog: NodeCatalog, tmp_path: Path) -> None:
    nodes = {"a": grey(0.25), "b": grey(0.75)}
    lazy = node("TestAsyncLazyCheck", first=["a", 0], second=["b", 0], which=True)
    run = shown(catalog, tmp_path, **nodes, x=lazy)
    assert run.texts == ["0.750"] and "a" not in run.executing
    run = shown(catalog, tmp_path, **nodes, x=node("TestAsyncDynamic", value=["a", 0], times=3))
    assert run.texts == ["0.250"] and [i for i in run.executing if i.startswith("x.")] == [
        "x.0.0.1", "x.0.0.2", "x.0.0.3",
    ]  # fmt: skip
    with pytest.raises(NodeError, match="woken up"):
        shown(catalog, tmp_path, **nodes, x=node("TestAsyncError", value=["a", 0], seconds=0.01))


def test_the_newer_kind(catalog: NodeCatalog, tmp_path: Path) -> None:
    nodes = {"a": grey(0.25), "b": grey(0.75)}
    blend = node("NewerBlend", one=["a", 0], other=["b", 0], share=0.5)
    both = {"blend": blend, "x": node("TestMakeListNode", value1=["blend", 0], value2=["blend", 1])}
    assert shown(catalog, tmp_path, **nodes, **both).texts == ["0.500, by blend"]
    run = shown(catalog, tmp_path, **nodes, x=node("NewerBlend", one=["a", 0], other=["b", 0], share=0.0))
    assert run.texts == ["0.250"] and "b" not in run.executing
    with pytest.raises(WorkflowError, match=r"it is never 0\.25"):
        shown(catalog, tmp_path, **nodes, x=node("NewerBlend", one=["a", 0], other=["b", 0], share=0.25))
    assert shown(catalog, tmp_path, **nodes, x=node("NewerGate", value=["a", 0], open=True)).texts == ["0.250"]
    run = shown(catalog, tmp_path, **nodes, x=node("NewerGate", value=["a", 0], open=False))
    assert run.texts == []
    (told,) = [e.data["exception_message"] for e in run.events if e.type == "execution_error"]
    assert told == "Execution Blocked: the gate is closed"


def test_our_own_nodes_read_what_classes_of_packs_give(catalog: NodeCatalog, tmp_path: Path) -> None:
    listed = node("TestMakeListNode", value1=["a", 0], value2=["a", 0])
    nodes = {"a": grey(0.5), "l": listed, "x": node("ImageInvert", image=["l", 0]), "p": node("SaveImage",
             images=["x", 0], filename_prefix="pack")}  # fmt: skip
    run = shown(catalog, tmp_path, **nodes)
    assert run.texts == ["0.500, 0.500"]
    assert [os.path.basename(file.path) for file in run.report.saved] == ["pack_00001_.png", "pack_00002_.png"]
    assert np.allclose(run.report.images[0], 127, atol=1)

"""Looking at results: whose, when, with which model, from the cache and of twins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fakes
import pytest
from fakes import CATALOG, DISK, FakeLoader, disk_at, no_sessions, workflow

from onnxflow.engine.cache import ResultCache
from onnxflow.engine.events import Event
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import run_workflow
from onnxflow.engine.watch import Watch
from onnxflow.errors import NodeError, NodeRef, WorkflowError
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.nodes.spec import Output
from onnxflow.providers.session import SessionCache
from onnxflow.values import Handle

Nodes = dict[str, tuple[str, dict[str, Any]]]

CHAIN: Nodes = {
    "s": ("Start", {"value": 2}),
    "a": ("Add", {"a": ("s", 0), "b": ("s", 0), "scale": 1.0}),
    "o": ("Show", {"number": ("a", 0), "label": "n="}),
}


class Looker:
    """Keeps what it was shown, and says that it wrote a file."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, list[list[Any]]]] = []
        self.models: dict[str, str | None] = {}
        self.calls: list[str] = []  # that had run when it was told

    def __call__(
        self, node: NodeRef, outputs: Sequence[Output], values: Sequence[Sequence[Any]], model: Handle | None
    ) -> list[Path]:
        assert len(outputs) == len(values)
        self.seen.append((node.id, [list(each) for each in values]))
        self.models[node.id] = None if model is None else type(model).__name__
        self.calls.append(fakes.calls[-1] if fakes.calls else "")
        return [Path(f"{node.id}.txt")]


def run(
    nodes: Nodes, watched: set[str] | None, cache: ResultCache | None = None
) -> tuple[Looker, list[Event], RunReport]:
    fakes.calls.clear()
    look, events = Looker(), list[Event]()
    watch = Watch(None if watched is None else frozenset(watched), look)
    report = run_workflow(
        workflow(**nodes), CATALOG, DISK, no_sessions(), cache=cache, listeners=[events.append], watch=watch
    )
    return look, events, report


def test_a_result_is_looked_at_as_soon_as_it_is_there() -> None:
    look, events, report = run(CHAIN, {"a", "s"})
    assert look.seen == [("s", [[2]]), ("a", [[4.0]])]
    assert look.calls == ["Start 2", "Add 2 2"]
    assert report.dumped == (Path("s.txt"), Path("a.txt"))
    said = [event.data for event in events if event.type == "dumped"]
    assert [(data["node"], data["files"]) for data in said] == [("s", ["s.txt"]), ("a", ["a.txt"])]
    assert {data["prompt_id"] for data in said} == {report.run_id}


def test_a_watched_node_runs_though_nothing_needs_it() -> None:
    aside: Nodes = {**CHAIN, "t": ("Start", {"value": 8}), "u": ("Start", {"value": 10})}
    look, _, report = run(aside, {"t"})
    assert look.seen == [("t", [[8]])]
    assert sorted(fakes.calls) == ["Add 2 2", "Show 4.0", "Start 2", "Start 8"]
    assert {node.id for node in report.nodes} == {"s", "a", "o", "t"}


def test_a_workflow_without_an_output_node_runs_for_a_look() -> None:
    nodes: Nodes = {"s": ("Start", {"value": 2}), "f": ("Fail", {"number": ("s", 0)})}
    look, _, _ = run(nodes, {"s"})
    assert look.seen == [("s", [[2]])]
    with pytest.raises(WorkflowError, match="no outputs"):
        run(nodes, None)


def test_all_are_those_that_run() -> None:
    look, _, _ = run({**CHAIN, "t": ("Start", {"value": 8})}, None)
    assert [node for node, _ in look.seen] == ["s", "a", "o"]


def test_a_list_is_seen_whole_and_so_is_every_output() -> None:
    nodes: Nodes = {"l": ("Spread", {"count": 3}), "p": ("Pair", {"name": "left"}), "e": ("Spread", {"count": 0})}
    look, _, _ = run(nodes, {"l", "p", "e"})
    assert dict(look.seen) == {"l": [[0, 1, 2]], "p": [[1], ["left"]], "e": [[]]}


def test_equal_nodes_are_each_looked_at_and_computed_once() -> None:
    nodes: Nodes = {"s": ("Start", {"value": 2}), "t": ("Start", {"value": 2}), "u": ("Start", {"value": 2})}
    look, _, _ = run(nodes, {"s", "u"})
    assert look.seen == [("s", [[2]]), ("u", [[2]])] and fakes.calls == ["Start 2"]
    look, _, _ = run({**CHAIN, "t": ("Start", {"value": 2})}, {"t"})
    assert look.seen == [("t", [[2]])] and fakes.calls.count("Start 2") == 1


def test_known_results_are_looked_at_again() -> None:
    cache = ResultCache()
    nodes: Nodes = {**CHAIN, "t": ("Start", {"value": 2})}
    first, _, _ = run(nodes, {"s", "t", "a"}, cache)
    again, _, _ = run(nodes, {"s", "t", "a"}, cache)
    assert fakes.calls == [] and sorted(again.seen) == sorted(first.seen) and len(again.seen) == 3
    everything, _, _ = run(nodes, None, cache)
    assert fakes.calls == [] and [node for node, _ in everything.seen] == ["s", "a", "o"]


def test_what_was_there_before_an_error_was_looked_at() -> None:
    look = Looker()
    nodes: Nodes = {
        "s": ("Start", {"value": 2}),
        "f": ("Fail", {"number": ("s", 0)}),
        "o": ("Show", {"number": ("f", 0), "label": ""}),
    }
    with pytest.raises(NodeError):
        run_workflow(workflow(**nodes), CATALOG, DISK, no_sessions(), watch=Watch(None, look))
    assert look.seen == [("s", [[2]])]


def test_a_problem_of_a_watched_node_is_found_before_anything_runs() -> None:
    with pytest.raises(WorkflowError) as caught:
        run({**CHAIN, "a2": ("Add", {"a": ("s", 0)})}, {"a2"})
    assert {problem.node.id for problem in caught.value.problems if problem.node} == {"a2"} and fakes.calls == []


LATENTS: Nodes = {
    "1": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
    "2": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
    "4": ("LoadImage", {"image": "example.png"}),
    "5": ("VAEEncode", {"pixels": ("4", 0), "vae": ("1", 2)}),
    "6": ("SetLatentNoiseMask", {"samples": ("5", 0), "mask": ("4", 1)}),
}


def latents(watched: set[str], tmp_path: Path, cache: ResultCache | None = None) -> dict[str, str | None]:
    look = Looker()
    watch = Watch(frozenset(watched), look)
    sessions = SessionCache(FakeLoader())
    run_workflow(workflow(**LATENTS), builtin_catalog(), disk_at(tmp_path), sessions, cache=cache, watch=watch)
    return look.models


def test_the_model_is_the_nearest_on_the_way_back(tmp_path: Path) -> None:
    cache = ResultCache()
    for _ in range(2):  # the second time it is found behind known results
        assert latents({"5", "6"}, tmp_path, cache) == {"5": "Vae", "6": "Vae"}
    assert latents({"2"}, tmp_path) == {"2": None}
    assert latents({"1"}, tmp_path) == {"1": "Model"}
    assert latents({"1", "2"}, tmp_path) == {"1": "Model", "2": "Model"}, "the only one of the run"

"""A run that may grow does what a planned one does: the same results, values dropped, sessions given back."""

from __future__ import annotations

from pathlib import Path

import fakes
import pytest
from fakes import CATALOG, DISK, FakeLoader, disk_at, no_sessions, workflow
from growing import GROWING, Nodes, run
from hypothesis import given
from hypothesis import strategies as st
from living import living_in_a_chain
from recorder import Recorder

from onnxflow.cancel import CancelToken
from onnxflow.engine.cache import ResultCache
from onnxflow.engine.events import Event
from onnxflow.engine.run import run_workflow
from onnxflow.errors import Cancelled, InputError, NodeError
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.providers.session import SessionCache

GROWS: Nodes = {"z": ("Some", {"number": ("zs", 0)}), "zs": ("Start", {"value": 98})}
"""Two nodes that no output needs unless "zo" is there."""

ALSO: Nodes = {**GROWS, "zo": ("Watch", {"number": ("z", 0), "label": ""})}


@given(st.lists(st.lists(st.integers(0, 12), min_size=2, max_size=2), min_size=1, max_size=12))
def test_any_graph_gives_the_same_planned_and_not(reads: list[list[int]]) -> None:
    nodes: Nodes = {"n0": ("Start", {"value": 4})}
    for i, (a, b) in enumerate(reads, 1):
        nodes[f"n{i}"] = ("Add", {"a": (f"n{a % i}", 0), "b": (f"n{b % i}", 0), "scale": 0.5})
    nodes["o"] = ("Show", {"number": (f"n{len(reads)}", 0), "label": ""})
    plain = run(nodes)[1].texts()
    planned = sorted(fakes.calls)
    assert run({**nodes, **ALSO})[1].texts() == [*plain, "98"]
    assert sorted(call for call in fakes.calls if call != "Start 98") == planned
    cache = ResultCache()
    for _ in range(2):
        assert run({**nodes, **ALSO}, cache)[1].texts() == [*plain, "98"]
    assert fakes.calls == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.booleans()), min_size=1, max_size=10))
def test_any_graph_of_choices_runs_only_what_was_chosen(choices: list[tuple[int, int, bool]]) -> None:
    nodes: Nodes = {"n0": ("Start", {"value": 2})}
    expected = [2]
    for i, (a, b, second) in enumerate(choices, 1):
        links = {"a": (f"n{a % i}", 0), "b": (f"n{b % i}", 0)}
        nodes[f"n{i}"] = ("Choose", {"which": int(second), **links})
        expected.append(expected[(b if second else a) % i])
    last = len(choices)
    nodes["o"] = ("Show", {"number": (f"n{last}", 0), "label": ""})
    chosen, place = 0, last
    while place:
        a, b, second = choices[place - 1]
        place = (b if second else a) % place
        chosen += 1
    _, recorder = run(nodes)
    assert recorder.texts() == ["2"]
    assert len([call for call in fakes.calls if call.startswith("Choose")]) <= chosen


def test_values_are_dropped_after_their_last_reader() -> None:
    assert living_in_a_chain(may_block=True) == ([1] * 6, 0)


def test_sessions_are_given_back_with_the_last_handle(tmp_path: Path) -> None:
    loader = FakeLoader()
    closed: list[tuple[str, list[str]]] = []

    def listener(event: Event) -> None:
        if event.type == "executing" and event.data["node"]:
            done = [name for name, graph in loader.graphs.items() if graph.closed]
            closed.append((event.data["node"], done))

    nodes: Nodes = {
        "c": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
        "t": ("CLIPTextEncode", {"clip": ("c", 1), "text": "a"}),
        "l": ("EmptyLatentImage", {"width": 64, "height": 64, "batch_size": 1}),
        "k": ("KSampler", {
            "model": ("c", 0), "positive": ("t", 0), "negative": ("t", 0), "latent_image": ("l", 0), "seed": 1,
            "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
        }),
        "d": ("VAEDecode", {"samples": ("k", 0), "vae": ("c", 2)}),
        "o": ("SaveImage", {"images": ("d", 0), "filename_prefix": "x"}),
        **ALSO,
    }  # fmt: skip
    catalog = builtin_catalog().with_specs(GROWING.values())
    run_workflow(workflow(**nodes), catalog, disk_at(tmp_path), SessionCache(loader), listeners=[listener])
    before = dict(closed)
    assert before["k"] == ["text_encoder"] and sorted(before["d"]) == ["text_encoder", "unet"]
    assert all(graph.closed for graph in loader.graphs.values())


def test_what_ran_a_network_inside_is_remembered_with_the_result(tmp_path: Path) -> None:
    encode = {"~.t": {"class_type": "CLIPTextEncode", "inputs": {"clip": "input", "text": "a"}}}
    nodes: Nodes = {
        "c": ("CheckpointLoaderSimple", {"ckpt_name": "onnxflow-tiny"}),
        "r": ("Replace", {"number": ("c", 1), "nodes": encode, "result": {"__value__": ["~.t", 0]}}),
        "o": ("Watch", {"number": ("r", 0), "label": ""}),
    }
    catalog = builtin_catalog().with_specs(GROWING.values())
    sessions, cache = SessionCache(FakeLoader()), ResultCache()
    reports = [run_workflow(workflow(**nodes), catalog, disk_at(tmp_path), sessions, cache=cache) for _ in range(2)]
    assert [use.component for use in reports[0].ran] == ["text_encoder"]
    assert [use.component for use in reports[1].recalled] == ["text_encoder"] and not reports[1].ran


def test_errors_and_cancelling_are_told_as_in_planned_runs() -> None:
    recorder = Recorder()
    nodes: Nodes = {**CHAIN, "f": ("Fail", {"number": ("z", 0)}), "o": ("Show", {"number": ("f", 0), "label": ""})}
    with pytest.raises(NodeError) as caught:
        run(nodes, recorder=recorder)
    assert caught.value.node is not None and caught.value.node.id == "f"
    assert isinstance(caught.value.__cause__, RuntimeError)
    (told,) = recorder.data("execution_error")
    assert (told["node_id"], told["executed"]) == ("f", ["zs", "z"])
    assert "raise RuntimeError" in "".join(told["traceback"])

    token = CancelToken()

    class Stopping(Recorder):
        def __call__(self, event: Event) -> None:
            super().__call__(event)
            if event.type == "progress" and event.data["value"] == 2:
                token.cancel()

    recorder = Stopping()
    nodes = {
        **CHAIN,
        "p": ("Steps", {"number": ("z", 0), "count": 9}),
        "o": ("Show", {"number": ("p", 0), "label": ""}),
    }
    with pytest.raises(Cancelled):
        run(nodes, cancel=token, recorder=recorder)
    assert [data["value"] for data in recorder.data("progress")] == [1, 2]
    assert recorder.data("execution_interrupted")[0]["node_id"] == "p"


CHAIN: Nodes = GROWS


def test_an_empty_list_names_the_node() -> None:
    nodes: Nodes = {"l": ("Spread", {"count": 0}), "m": ("Some", {"number": ("l", 0)}),
                    "o": ("Show", {"number": ("m", 0), "label": ""})}  # fmt: skip
    with pytest.raises(InputError) as caught:
        run(nodes)
    assert caught.value.node is not None and caught.value.node.id == "m"


def test_what_a_listener_raises_reaches_the_caller() -> None:
    def listener(event: Event) -> None:
        if event.data.get("node") == "z":
            raise KeyError("mine")

    with pytest.raises(KeyError):
        run_workflow(workflow(**ALSO), GROWING, DISK, no_sessions(), listeners=[listener])


def test_a_workflow_without_such_classes_is_planned() -> None:
    from onnxflow.workflow.check import check

    chain = workflow(s=("Start", {"value": 2}), o=("Show", {"number": ("s", 0), "label": ""}))
    assert not check(chain, CATALOG, DISK).dynamic
    assert check(workflow(**ALSO), GROWING, DISK).dynamic

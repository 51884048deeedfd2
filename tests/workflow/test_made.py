"""Nodes that a node made: read and bound without a check, never with a traceback."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import CATALOG, DISK
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.errors import InputError
from onnxflow.graph.graph import Link, Node
from onnxflow.nodes.spec import Input, NodeSpec
from onnxflow.workflow.made import bind_made, link_in, parse_made, spec_of

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["Add", "s"])
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)
NAMES = st.sampled_from(["a", "b", "scale", "number", "value", "label", "x"])
ENTRIES = st.fixed_dictionaries(
    {"class_type": st.sampled_from(sorted(CATALOG)) | JSON, "inputs": st.dictionaries(NAMES, JSON, max_size=4) | JSON}
)
LINKS = st.tuples(st.sampled_from(["s", "t", "gone"]), st.integers(-1, 3)).map(list)


def bound(node: Node, **others: str) -> Any:
    specs = {name: CATALOG[kind] for name, kind in others.items()}
    return bind_made(node, spec_of(node, CATALOG), specs.get, DISK)


@given(JSON | st.dictionaries(st.text(max_size=3) | st.integers(), ENTRIES | JSON, max_size=3))
def test_whatever_a_node_returns_is_nodes_or_one_error(document: Any) -> None:
    try:
        nodes = parse_made(document)
        for node in nodes.values():
            bound(node, s="Start", t="Pair")
    except InputError as error:
        assert error.message
    else:
        assert list(nodes) == list(document)


@given(st.dictionaries(NAMES, JSON | LINKS, max_size=5), st.sampled_from(sorted(CATALOG)))
def test_whatever_stands_in_an_input_is_bound_or_one_error(inputs: dict[str, Any], kind: str) -> None:
    (node,) = parse_made({"n": {"class_type": kind, "inputs": inputs}}).values()
    try:
        call = bound(node, s="Start", t="Pair")
    except InputError:
        return
    assert {*call.literals, *(name for name, _ in call.links)} <= set(CATALOG[kind].by_name)
    assert all(link.node in ("s", "t") for _, link in call.links)


def test_values_of_any_kind_stay_and_numbers_become_what_is_declared() -> None:
    thing = object()
    nodes = {"n": {"class_type": "Add", "inputs": {"a": thing, "b": ["s", 0.0], "scale": "2.5", "other": 1}}}
    (node,) = parse_made(nodes).values()
    call = bound(node, s="Start")
    assert call.literals == {"a": thing, "scale": 2.5} and call.links == (("b", Link("s", 0)),)


def test_ranges_are_not_looked_at() -> None:
    (node,) = parse_made({"n": {"class_type": "Start", "inputs": {"value": 100_000}}}).values()
    assert bound(node).literals == {"value": 100_000}


def test_what_is_not_declared_goes_to_a_class_that_takes_it() -> None:
    spec = NodeSpec(
        "Any", lambda **values: None, (), (), "test",
        undeclared=lambda name: Input(name, "*", free=name == "free") if name != "no" else None,
    )  # fmt: skip
    (node,) = parse_made({"n": {"class_type": "Any", "inputs": {"free": 1, "no": 2, "x": 3, "y": ["s", 0]}}}).values()
    call = bind_made(node, spec, {"s": CATALOG["Start"]}.get, DISK)
    assert call.literals == {"free": 1} and call.links == (("y", Link("s", 0)),)


@pytest.mark.parametrize(
    ("value", "link"),
    [(["a", 1], Link("a", 1)), (["a", 1.0], Link("a", 1)), (Link("a", 2), Link("a", 2)), (["a", 1.5], None),
     (["a", True], None), ([1, 1], None), (["a"], None), ("a1", None), (("a", 1), None), (["a", float("nan")], None),
     (["a", float("inf")], None)],
)  # fmt: skip
def test_links(value: Any, link: Link | None) -> None:
    assert link_in(value) == link

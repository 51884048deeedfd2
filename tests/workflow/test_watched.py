"""The nodes that --dump names."""

from __future__ import annotations

import pytest
from fakes import CATALOG, workflow

from onnxflow.errors import UsageError
from onnxflow.workflow.watched import watched_nodes

FLOW = workflow(
    s=("Start", {"value": 2}),
    t=("Start", {"value": 4}),
    a=("Add", {"a": ("s", 0), "b": ("t", 0)}),
    o=("Show", {"number": ("a", 0)}),
)


def test_a_node_is_named_by_id_class_or_title() -> None:
    assert watched_nodes(FLOW, ["s", "Add", "The t"], CATALOG) == {"s", "a", "t"}
    assert watched_nodes(FLOW, [], CATALOG) == frozenset()


def test_a_star_is_all_that_run_and_all_there_are_where_none_would() -> None:
    assert watched_nodes(FLOW, ["s", "*"], CATALOG) is None
    aside = workflow(s=("Start", {"value": 2}), x=("Unknown", {}))
    assert watched_nodes(aside, ["*"], CATALOG) == {"s", "x"}


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("Adds", "no node 'Adds'", "did you mean 'Add'?"),
        ("Start", "2 nodes are called 'Start'", "name one by its id: s, t"),
        ("o", "node o (The o, Show) has no outputs to dump", "what it is given comes from: a"),
        ("", "no node ''", "nodes: s, t, a, o"),
    ],
)
def test_a_name_that_is_none_is_refused(name: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        watched_nodes(FLOW, [name], CATALOG)
    assert message in caught.value.message and hint in caught.value.hint

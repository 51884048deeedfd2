"""The order nodes run in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnxflow.graph.order import CycleError, descendants, execution_order


def order(links: dict[str, list[str]], *targets: str) -> list[str]:
    return execution_order(targets, lambda node: links.get(node, []))


def test_parents_come_first_and_each_node_once() -> None:
    assert order({"d": ["b", "c"], "b": ["a"], "c": ["a"]}, "d") == ["a", "b", "c", "d"]


def test_what_no_target_needs_is_left_out() -> None:
    assert order({"b": ["a"], "x": ["a"]}, "b") == ["a", "b"]


def test_one_output_is_finished_before_the_next_begins() -> None:
    assert order({"p": ["a"], "q": ["b"]}, "p", "q") == ["a", "p", "b", "q"]


def test_a_target_that_another_needs_is_not_repeated() -> None:
    assert order({"b": ["a"]}, "a", "b") == ["a", "b"]


def test_a_cycle_names_its_path_and_not_what_leads_to_it() -> None:
    with pytest.raises(CycleError) as caught:
        order({"out": ["a"], "a": ["b"], "b": ["c"], "c": ["a"]}, "out")
    assert caught.value.path == ("a", "b", "c", "a")


def test_a_node_that_reads_itself_is_a_cycle() -> None:
    with pytest.raises(CycleError) as caught:
        order({"a": ["a"]}, "a")
    assert caught.value.path == ("a", "a")


def test_a_chain_of_a_million_is_no_problem() -> None:
    n = 1_000_000
    found = execution_order([n], lambda i: [i - 1] if i else [])  # type: ignore[list-item, operator, return-value]
    assert found[0] == 0 and found[-1] == n and len(found) == n + 1


@given(st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=30))
def test_every_acyclic_graph_is_ordered(reads: list[list[int]]) -> None:
    links = {str(i): [str(p) for p in parents if p < i] for i, parents in enumerate(reads)}
    found = order(links, *links)
    assert sorted(found) == sorted(links)
    place = {node: i for i, node in enumerate(found)}
    assert all(place[parent] < place[node] for node, parents in links.items() for parent in parents)


def test_descendants_include_their_sources() -> None:
    children = {"a": ["b"], "b": ["c"], "x": ["y"]}
    assert descendants(["a"], lambda n: children.get(n, [])) == {"a", "b", "c"}

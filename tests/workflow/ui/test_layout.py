"""Nodes stand in columns as values flow, none on another, and links cross little."""

from __future__ import annotations

import time
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from onnxflow.workflow.ui.layout import TITLE, levels, placed

Size = tuple[int, int]


def overlaps(sizes: list[Size], places: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The pairs of nodes that lie on each other, titles included."""
    boxes = [(x, y - TITLE, x + width, y + height) for (x, y), (width, height) in zip(places, sizes, strict=True)]
    return [
        (one, other)
        for one, a in enumerate(boxes)
        for other, b in enumerate(boxes[:one])
        if a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
    ]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Size], list[tuple[int, int]]]:
    sizes = draw(st.lists(st.tuples(st.integers(210, 400), st.integers(26, 900)), min_size=1, max_size=25))
    node = st.integers(0, len(sizes) - 1)
    return sizes, draw(st.lists(st.tuples(node, node), max_size=60))


@given(graphs())
def test_no_node_lies_on_another(graph: tuple[list[Size], list[tuple[int, int]]]) -> None:
    sizes, edges = graph
    places = placed(sizes, edges)
    assert overlaps(sizes, places) == []
    assert min(x for x, _ in places) == 100
    assert min(y for _, y in places) == 130
    assert places == placed(sizes, edges)


@given(graphs())
def test_values_flow_from_left_to_right_where_they_do_not_go_in_circles(
    graph: tuple[list[Size], list[tuple[int, int]]],
) -> None:
    sizes, edges = graph
    edges = [(one, other) for one, other in edges if one < other]
    places = placed(sizes, edges)
    order, columns = levels(len(sizes), edges)
    at = {node: number for number, node in enumerate(order)}
    assert sorted(order) == list(range(len(sizes)))
    for one, other in edges:
        assert places[one][0] + sizes[one][0] < places[other][0]
        assert at[one] < at[other]
        assert columns[one] < columns[other]


def test_a_circle_has_an_order_and_columns_too() -> None:
    assert levels(4, [(0, 1), (1, 2), (2, 1), (2, 3), (3, 3)]) == ([0, 1, 2, 3], [0, 1, 2, 3])


def test_the_column_is_the_longest_way() -> None:
    assert levels(4, [(0, 3), (0, 1), (1, 2), (2, 3)])[1] == [0, 1, 2, 3]


def test_rows_are_ordered_so_that_parallel_chains_do_not_cross() -> None:
    random = Random(7)
    chains, length = 8, 5
    numbers = list(range(chains * length))
    random.shuffle(numbers)
    node = {(chain, step): numbers[chain * length + step] for chain in range(chains) for step in range(length)}
    edges = [(node[chain, step], node[chain, step + 1]) for chain in range(chains) for step in range(length - 1)]
    random.shuffle(edges)
    places = placed([(210, 60)] * len(numbers), edges)
    rows = [sorted(range(chains), key=lambda chain: places[node[chain, step]][1]) for step in range(length)]
    assert all(row == rows[0] for row in rows)
    assert all(places[one][1] == places[other][1] for one, other in edges)


def test_nodes_that_are_read_together_stand_together() -> None:
    edges = [(0, 4), (3, 4), (1, 5), (2, 5), (4, 6), (5, 6)]
    places = placed([(210, 60)] * 7, edges)
    crossed = [
        (one, other)
        for one in edges
        for other in edges
        if places[one[0]][0] == places[other[0]][0]
        and places[one[0]][1] < places[other[0]][1]
        and places[one[1]][1] > places[other[1]][1]
    ]
    assert crossed == []


def test_readers_stand_around_what_they_read() -> None:
    places = placed([(210, 100), (210, 300), (210, 300)], [(0, 1), (0, 2)])
    assert [y for _, y in places] == [420, 130, 510]
    assert 420 + 50 == (130 + 510 + 300) // 2


def test_ten_thousand_nodes_take_less_than_two_seconds() -> None:
    random = Random(3)
    count = 10_000
    edges = [(random.randrange(max(node - 50, 0), node), node) for node in range(1, count) for _ in range(3)]
    start = time.process_time()
    places = placed([(270, 120)] * count, edges)
    assert len(set(places)) == count
    assert time.process_time() - start < 2


def test_nothing_has_no_places() -> None:
    assert placed([], []) == []

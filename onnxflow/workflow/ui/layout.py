"""Where nodes stand in the editor: columns from left to right as values flow, rows so that links cross little."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

TITLE: Final = 30
"""Pixels that a node's title takes above its position."""
_LEFT, _TOP = 100, 130
_BETWEEN_COLUMNS: Final = 100
_BETWEEN_ROWS: Final = TITLE + 50
_SWEEPS: Final = 4
"""Passes over the columns, every other one from right to left; more change little."""

Edge = tuple[int, int]
"""From one node to another, both by number."""


def levels(count: int, edges: Sequence[Edge]) -> tuple[list[int], list[int]]:
    """The nodes in an order in which each comes after those that it reads, and the column of each: the most links that
    lead to it from a node that reads none. Where links go in a circle, the first node on it is taken for one whose
    inputs are all there.
    """
    readers = _lists(count, edges)
    waiting = [0] * count
    for _, reader in edges:
        waiting[reader] += 1
    ready = deque(number for number in range(count) if waiting[number] == 0)
    done, columns = [False] * count, [0] * count
    order: list[int] = []
    rest = iter(range(count))
    while len(order) < count:
        node = ready.popleft() if ready else next(rest)
        if done[node]:
            continue
        done[node] = True
        order.append(node)
        for reader in readers[node]:
            waiting[reader] -= 1
            if not done[reader]:
                columns[reader] = max(columns[reader], columns[node] + 1)
                if waiting[reader] == 0:
                    ready.append(reader)
    return order, columns


def placed(sizes: Sequence[tuple[int, int]], edges: Sequence[Edge]) -> list[tuple[int, int]]:
    """The position (left, top, in pixels) of each node of these sizes (width, height); no two overlap, titles
    included.

    Rows are ordered by the mean of their neighbours' places (the barycentre method of Sugiyama, Tagawa and Toda, 1981).
    """
    if not sizes:
        return []
    order, level = levels(len(sizes), edges)
    columns: list[list[int]] = [[] for _ in range(max(level) + 1)]
    for node in order:
        columns[level[node]].append(node)
    edges = [(one, other) for one, other in edges if level[one] < level[other]]
    before, behind = _lists(len(sizes), [(other, one) for one, other in edges]), _lists(len(sizes), edges)
    heights = [height for _, height in sizes]
    centres = [0.0] * len(sizes)
    for column in columns:
        _stack(column, heights, centres)
    for sweep in range(_SWEEPS):
        backward = sweep % 2 == 1
        for column in reversed(columns) if backward else columns:
            wanted = _barycentres(column, behind if backward else before, centres)
            column.sort(key=wanted.__getitem__)
            _stack(column, heights, centres)
    for column in columns:
        _settle(column, heights, _barycentres(column, before, centres), centres)
    tops = [centre - height / 2 for centre, height in zip(centres, heights, strict=True)]
    highest, left = min(tops), _LEFT
    places = [(0, 0)] * len(sizes)
    for column in columns:
        for node in column:
            places[node] = (left, _TOP + round(tops[node] - highest))
        left += max(sizes[node][0] for node in column) + _BETWEEN_COLUMNS
    return places


def _lists(count: int, edges: Iterable[Edge]) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(count)]
    for one, other in edges:
        found[one].append(other)
    return found


def _barycentres(
    column: Sequence[int], neighbours: Sequence[Sequence[int]], centres: Sequence[float]
) -> dict[int, float]:
    """The mean height of each node's neighbours; its own where it has none."""
    return {
        node: sum(centres[one] for one in neighbours[node]) / len(neighbours[node])
        if neighbours[node]
        else centres[node]
        for node in column
    }


def _stack(column: Sequence[int], heights: Sequence[int], centres: list[float]) -> None:
    """One under the other, the middle of them all at 0, so that columns of any length lie side by side."""
    at = -(sum(heights[node] + _BETWEEN_ROWS for node in column) - _BETWEEN_ROWS) / 2
    for node in column:
        centres[node] = at + heights[node] / 2
        at += heights[node] + _BETWEEN_ROWS


def _settle(column: Sequence[int], heights: Sequence[int], wanted: dict[int, float], centres: list[float]) -> None:
    """In their order, each as near to where it wants to be as the one above lets it; then all moved by the mean of what
    is missing."""
    free = float("-inf")
    for node in column:
        centres[node] = max(wanted[node], free + heights[node] / 2)
        free = centres[node] + heights[node] / 2 + _BETWEEN_ROWS
    shift = sum(wanted[node] - centres[node] for node in column) / len(column)
    for node in column:
        centres[node] += shift

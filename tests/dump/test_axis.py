"""Ticks: round, inside, few."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from onnxflow.dump.axis import Axis, log_ticks, ticks, whole_ticks, written

NUMBERS = st.floats(-1e12, 1e12)


@given(NUMBERS, NUMBERS, st.integers(2, 12))
def test_ticks_are_inside_and_at_most_as_many(one: float, other: float, most: int) -> None:
    low, high = sorted((one, other))
    assume(high - low > 1e-6 * max(abs(low), abs(high), 1e-6))
    found = ticks(low, high, most)
    slack = (high - low) * 1e-6
    assert len(found) <= most + 1 and all(low - slack <= value <= high + slack for value in found)


def test_ticks_are_round() -> None:
    assert ticks(0, 14.6) == [0, 5, 10]
    assert ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(3, 3) == [3]
    assert whole_ticks(77) == [0, 10, 20, 30, 40, 50, 60, 70]
    assert whole_ticks(3) == [0, 1, 2] and whole_ticks(1) == [0] and whole_ticks(0) == [0]


def test_ticks_of_a_logarithmic_axis() -> None:
    assert log_ticks(0.015, 14.6) == [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10]
    assert log_ticks(1e-30, 1e30, 6)[0] == 1e-30 and len(log_ticks(1e-30, 1e30, 6)) <= 6
    assert [written(value) for value in (0.0001, 14.0, 1e-9)] == ["0.0001", "14", "1e-09"]


def test_an_axis_maps_its_ends_and_keeps_what_is_beyond_at_them() -> None:
    up = Axis(0, 10, 500, -400)
    assert [up.at(value) for value in (0, 5, 10, 99, -1)] == [500, 300, 100, 100, 500]
    log = Axis(0.01, 100, 0, 400, log=True)
    assert [log.at(value) for value in (0.01, 1, 100, 0)] == pytest.approx([0, 200, 400, 0])
    assert Axis(3, 3, 7, 100).at(3) == 7

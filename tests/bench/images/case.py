"""One operation in numpy and the same in PyTorch, timed in one process and compared with each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

REPEATS = 7
SECONDS = 2.0
"""Enough time for a case; a slow operation is repeated three times at least, or once where one turn takes
longer than this."""


@dataclass(frozen=True)
class Case:
    """``ours`` gives an array, ``theirs`` a tensor of the same shape; they may differ by ``tolerance`` at most."""

    name: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    tolerance: float = 1e-5


@dataclass(frozen=True)
class Row:
    """Medians of processor milliseconds, and the largest difference of the two results."""

    name: str
    ours: float
    theirs: float
    difference: float
    tolerance: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    def __str__(self) -> str:
        wrong = "" if self.difference <= self.tolerance else f"  DIFFERS by {self.difference:.2g}"
        return f"{self.name:<44} {self.ours:10.1f} {self.theirs:10.1f} {self.ratio:7.2f}{wrong}"


HEAD = f"{'':<44} {'ours ms':>10} {'torch ms':>10} {'ratio':>7}"


def measure(case: Case) -> Row:
    """Both sides, turn by turn, so that what else the machine does hits both."""
    found, expected = np.asarray(case.ours()), np.asarray(case.theirs())
    assert found.shape == expected.shape, f"{case.name}: {found.shape} and {expected.shape}"
    difference = float(np.abs(found.astype(np.float32) - expected.astype(np.float32)).max(initial=0))
    del found, expected
    ours: list[float] = []
    theirs: list[float] = []
    while len(ours) < REPEATS:
        spent = sum(ours) + sum(theirs)
        if spent > 1e3 * SECONDS and (len(ours) >= 3 or spent > 1e3 * SECONDS * len(ours)):
            break
        ours.append(_milliseconds(case.ours))
        theirs.append(_milliseconds(case.theirs))
    return Row(case.name, statistics.median(ours), statistics.median(theirs), difference, case.tolerance)


def _milliseconds(work: Callable[[], Any]) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1e3

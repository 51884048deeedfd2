"""`make bench-images`: operations on pictures of 2048 x 2048 beside PyTorch's on the CPU, in the export environment.

Prints medians of processor milliseconds (not of wall time: PyTorch may use several cores) and their ratio. A word as
argument chooses the operations whose names contain it (BENCH=blur). A result that differs from PyTorch's is named.
"""

from __future__ import annotations

import importlib
import platform
import sys

import numpy as np
import torch

from images.case import HEAD, measure

MODULES: tuple[str, ...] = (
    "resizing",
    "filters",
    "edges",
    "layout",
    "masks",
    "files",
)
"""Each has ``cases()``, which yields them one by one."""

REQUIRED, GOAL = 3.0, 1.5


def main() -> int:
    """Print the table; 1 when an operation is too slow or its result another."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    torch.set_num_threads(1)
    print(
        f"{platform.platform()}, Python {platform.python_version()}, numpy {np.__version__}, torch {torch.__version__}"
    )
    print(HEAD)
    rows = []
    for name in MODULES:
        for case in importlib.import_module(f"images.{name}").cases():
            if wanted in case.name:
                row = measure(case)
                print(row, flush=True)
                rows.append(row)
    slow = [row.name for row in rows if row.ratio > REQUIRED]
    wrong = [row.name for row in rows if row.difference > row.tolerance]
    within = sum(row.ratio <= GOAL for row in rows)
    print(f"{len(rows)} operations, {within} within {GOAL} times PyTorch's, {len(slow)} beyond {REQUIRED}: {slow}")
    if wrong:
        print(f"other results than PyTorch's: {wrong}")
    return 1 if slow or wrong else 0


if __name__ == "__main__":
    sys.exit(main())

"""Lines over whole numbers: noise levels by step, norms by token."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from onnxflow.dump.axis import Axis, whole_ticks, written
from onnxflow.dump.canvas import BLUE, SOFT, TEXT, Canvas


def draw_line(
    canvas: Canvas,
    values: NDArray[np.float32],
    across: Axis,
    up: Axis,
    labels: tuple[str, str],
    *,
    dots: float = 0.0,
    marks: Sequence[int] | None = None,
    levels: Sequence[float] | None = None,
) -> None:
    """``values`` over 0, 1, 2 ... as a line between two axes, with ticks, a grid and what the axes are; gaps where a
    value is no number. ``marks`` and ``levels`` are ticks to have instead of round ones."""
    left, right = int(across.start), int(across.start + across.length)
    bottom, top = int(up.start), int(up.start + up.length)
    for value in up.ticks() if levels is None else levels:
        y = round(up.at(value))
        canvas.line(left, y, right, y)
        canvas.text(left - 8, y - TEXT * 0.6, written(value), align=1.0, colour=SOFT)
    for position in whole_ticks(len(values)) if marks is None else marks:
        x = round(across.at(position))
        canvas.line(x, bottom, x, bottom + 5, SOFT)
        canvas.text(x, bottom + 8, str(position), align=0.5, colour=SOFT)
    canvas.line(left, bottom, right, bottom, SOFT)
    canvas.line(left, bottom, left, top, SOFT)
    canvas.text((left + right) / 2, bottom + 28, labels[0], align=0.5)
    canvas.text(left - 8, top - TEXT - 12, labels[1])
    lines = [[(across.at(k), up.at(float(values[k]))) for k in run] for run in _runs(values)]
    canvas.curves(lines, colour=BLUE, dots=dots)


def _runs(values: NDArray[np.float32]) -> list[list[int]]:
    """The positions of finite values, neighbours together."""
    runs: list[list[int]] = []
    for position, value in enumerate(values.tolist()):
        if not math.isfinite(value):
            continue
        if runs and runs[-1][-1] == position - 1:
            runs[-1].append(position)
        else:
            runs.append([position])
    return runs

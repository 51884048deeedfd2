"""Heat maps: a table of numbers as a picture of coloured cells, with the key to its colours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.dump.axis import written
from onnxflow.dump.canvas import SOFT, TEXT, Canvas
from onnxflow.dump.colours import diverging

KEY_WIDTH: Final = 16
_SHOWN: Final = 0.995  # of the values are inside the colours' range: a few large ones would leave the others white


def limit_of(values: NDArray[np.float32]) -> float:
    """The size at which colours are darkest: what all but the largest 0.5 % of the values stay below."""
    finite = np.abs(values[np.isfinite(values)])
    if not finite.size:
        return 1.0
    return float(np.quantile(finite, _SHOWN)) or float(finite.max()) or 1.0


def fitted(values: NDArray[np.float32], most_rows: int, most_columns: int) -> NDArray[np.float32]:
    """``values`` [rows, columns] with neighbours taken together until they fit: of each group, the largest in size."""
    return _grouped(_grouped(values, most_rows).T, most_columns).T


def cells(values: NDArray[np.float32], limit: float, height: int, width: int) -> NDArray[np.uint8]:
    """The cells [rows, columns] as blocks of ``height`` x ``width`` pixels, in colours [.., .., 3]."""
    return np.repeat(np.repeat(diverging(values, limit), height, axis=0), width, axis=1)


def draw_key(
    canvas: Canvas,
    x: int,
    y: int,
    height: int,
    limit: float,
    paint: Callable[[NDArray[np.float32]], NDArray[np.uint8]] | None = None,
) -> None:
    """The key: a bar from ``limit`` at the top to -``limit``, in the map's colours or those of ``paint``."""
    bar = np.linspace(limit, -limit, height, dtype=np.float32)[:, None]
    bar = np.repeat(bar, KEY_WIDTH, axis=1)
    canvas.block(x, y, diverging(bar, limit) if paint is None else paint(bar))
    canvas.frame(x, y, KEY_WIDTH, height)
    for share, value in ((0.0, limit), (0.5, 0.0), (1.0, -limit)):
        at = y + share * (height - 1)
        canvas.line(x + KEY_WIDTH, at, x + KEY_WIDTH + 4, at, SOFT)
        sign = {0.0: ">= ", 1.0: "<= "}.get(share, "")
        canvas.text(x + KEY_WIDTH + 8, at - TEXT * 0.6, f"{sign}{written(float(f'{value:.3g}'))}", colour=SOFT)


def _grouped(values: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Rows taken together, the fewest that leave at most ``most``."""
    size = math.ceil(len(values) / most) if len(values) else 1
    if size <= 1:
        return values
    missing = -len(values) % size
    padded = np.concatenate([values, np.zeros((missing, values.shape[1]), values.dtype)])
    groups = padded.reshape(-1, size, values.shape[1])
    chosen = np.argmax(np.where(np.isnan(groups), np.inf, np.abs(groups)), axis=1)[:, None]
    found: NDArray[np.float32] = np.take_along_axis(groups, chosen, axis=1)[:, 0]
    return found

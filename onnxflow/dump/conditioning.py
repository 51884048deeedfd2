"""CONDITIONING values: heat map and norms of each text's tokens, its options, and all numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.dump.axis import Axis, whole_ticks, written
from onnxflow.dump.canvas import SOFT, TEXT, TITLE, Canvas
from onnxflow.dump.heat_map import cells, draw_key, fitted, limit_of
from onnxflow.dump.line_chart import draw_line
from onnxflow.dump.numbers import shorts, statistics
from onnxflow.dump.part import Part, json_part, npz_part
from onnxflow.dump.thing import plain
from onnxflow.values import Array, Cond, Conditioning

_LEFT, _KEY = 72, 120
_MOST_WIDE, _MOST_HIGH = 960, 384  # pixels of a heat map
_CELL: Final = 12  # pixels that no cell is larger than, where the map is not smaller than these:
_LEAST_WIDE, _LEAST_HIGH = 420, 120
_NORMS: Final = 150
_POOLED: Final = 22
_MOST_ENTRIES: Final = 8


def conditioning_parts(conditioning: Conditioning, heading: str) -> Iterator[Part]:
    """A picture of each entry's states, a JSON with norms and options, and every array."""
    entries = conditioning.entries
    drawn = [k for k, entry in enumerate(entries) if entry.cross_attn.size][:_MOST_ENTRIES]
    for k in drawn:
        several = len(entries) > 1
        title = f"{heading}, entry {k + 1} of {len(entries)}" if several else heading
        yield Part(f"_{k + 1}.png" if several else ".png", partial(_picture, entries[k], title))
    document = {"type": "CONDITIONING", "entries": [_facts(entry) for entry in entries]}
    yield json_part(document)
    arrays: dict[str, NDArray[Any]] = {}
    for k, entry in enumerate(entries):
        arrays[f"cross_attn_{k + 1}"] = entry.cross_attn
        if entry.pooled is not None:
            arrays[f"pooled_{k + 1}"] = entry.pooled
        arrays |= {
            f"{name}_{k + 1}": value
            for name, value in entry.extras.items()
            if isinstance(value, np.ndarray) and value.dtype != object
        }
    yield npz_part(arrays)


def norms(states: Array) -> NDArray[np.float64]:
    """The Euclidean length of every token's state [n,s,d] -> [n,s]."""
    found: NDArray[np.float64] = np.sqrt(np.square(states, dtype=np.float64).sum(axis=-1))
    return found


def _facts(entry: Cond) -> dict[str, Any]:
    count, tokens, width = entry.cross_attn.shape
    found: dict[str, Any] = {
        "shape": {"batch": count, "tokens": tokens, "width": width},
        **statistics(entry.cross_attn),
        "norms of tokens": [shorts(row) for row in norms(entry.cross_attn)],
        "pooled": None,
        "options": plain(dict(entry.extras), 1),
    }
    if entry.pooled is not None:
        found["pooled"] = {
            "shape": list(entry.pooled.shape),
            **statistics(entry.pooled),
            "norm": shorts(norms(entry.pooled)),
        }
    return found


def options_line(entry: Cond) -> str:
    """The options of an entry on one line, arrays by their shapes; empty without any."""
    said = [
        f"{name} {list(value.shape)}"
        if isinstance(value, np.ndarray)
        else f"{name} {_area(name, value) or _said(value)}"
        for name, value in entry.extras.items()
    ]
    line = ", ".join(said)
    return line if len(line) <= 140 else f"{line[:137]}..."


def _area(name: str, value: object) -> str:
    """ComfyUI's four numbers of an area, named; empty for anything else."""
    if name != "area" or not isinstance(value, tuple) or len(value) not in (4, 5):
        return ""
    unit = " (shares of the picture)" if value[0] == "percentage" else " (cells of the latent)"
    height, width, y, x = map(_said, value[-4:])
    return f"{width} wide, {height} high at x {x}, y {y}{unit}"


def _said(value: object) -> str:
    if isinstance(value, float):
        return written(value)
    if isinstance(value, (list, tuple)):
        return f"({', '.join(_said(item) for item in value)})"
    return str(value) if isinstance(value, (bool, int, str, type(None))) else type(value).__name__


def _picture(entry: Cond, heading: str) -> bytes:
    """The first text of an entry: dimensions up, tokens across, and below the norm of each token."""
    states = entry.cross_attn[0]
    pooled = entry.pooled if entry.pooled is not None and entry.pooled.size else None
    tokens, width = states.shape
    limit = limit_of(states)
    table = fitted(np.ascontiguousarray(states.T), _MOST_HIGH, _MOST_WIDE)
    cell_height = max(min(_CELL, _MOST_HIGH // len(table)), _LEAST_HIGH // len(table))
    cell_width = max(min(_CELL, _MOST_WIDE // table.shape[1]), _LEAST_WIDE // table.shape[1])
    colours = cells(table, limit, cell_height, cell_width)
    high, wide = colours.shape[:2]
    lines = _lines(entry)
    top = TITLE + 24 + len(lines) * (TEXT + 6) + 30
    pooled_top = top + high + 78 + _NORMS + 78
    total = pooled_top + (_POOLED + 30 if pooled is not None else -20)
    canvas = Canvas(_LEFT + wide + _KEY, total)
    canvas.text(16, 14, heading, size=TITLE)
    for place, line in enumerate(lines):
        canvas.text(16, TITLE + 24 + place * (TEXT + 6), line, colour=SOFT)
    canvas.text(16, top - TEXT - 10, "dimension")
    canvas.block(_LEFT, top, colours)
    canvas.frame(_LEFT, top, wide, high)
    for mark in whole_ticks(width, 8):
        y = top + (mark + 0.5) / width * high
        canvas.text(_LEFT - 8, y - TEXT * 0.6, str(mark), align=1.0, colour=SOFT)
    draw_key(canvas, _LEFT + wide + 20, top, high, limit)
    marks = whole_ticks(tokens, max(2, min(12, wide // 40)))
    across = Axis(0, max(tokens - 1, 1), _LEFT + wide / tokens / 2, wide * (tokens - 1) / tokens)
    for mark in marks:
        x = across.at(mark)
        canvas.line(x, top + high, x, top + high + 5, SOFT)
        canvas.text(x, top + high + 8, str(mark), align=0.5, colour=SOFT)
    _draw_norms(canvas, norms(entry.cross_attn)[0], across, top + high + 78, marks)
    if pooled is not None:
        _draw_pooled(canvas, pooled[0], pooled_top, wide)
    return canvas.png()


def _draw_norms(canvas: Canvas, lengths: NDArray[np.float64], across: Axis, top: int, marks: list[int]) -> None:
    finite = lengths[np.isfinite(lengths)]
    largest = (float(finite.max()) if len(finite) else 0.0) or 1.0
    up = Axis(0.0, largest, top + _NORMS, -_NORMS)
    labels = ("token (0 is the start of the text)", "norm: length of the token's state")
    with np.errstate(over="ignore"):  # a length that float32 cannot hold is drawn as none
        drawn = lengths.astype(np.float32)
    draw_line(canvas, drawn, across, up, labels, dots=2.5 if len(lengths) <= 200 else 0, marks=marks)


def _draw_pooled(canvas: Canvas, pooled: Array, top: int, wide: int) -> None:
    """The pooled output as one row of cells."""
    limit = limit_of(pooled)
    row = fitted(pooled[None], 1, wide)
    said = f"pooled output: {len(pooled)} numbers, norm {written(float(f'{float(norms(pooled[None])[0]):.4g}'))}"
    canvas.text(16, top - TEXT - 8, f"{said}; colours to {limit:.3g}")
    canvas.block(_LEFT, top, cells(row, limit, _POOLED, max(1, wide // row.shape[1])))
    canvas.frame(_LEFT, top, row.shape[1] * max(1, wide // row.shape[1]), _POOLED)


def _lines(entry: Cond) -> list[str]:
    count, tokens, width = entry.cross_attn.shape
    lines = [f"{tokens} token{'s' * (tokens != 1)} of {width} numbers each"]
    group = math.ceil(width / _MOST_HIGH), math.ceil(tokens / _MOST_WIDE)
    if max(group) > 1:
        whose = [f"{size} {name}{'s' * (size != 1)}" for size, name in zip(group, ("dimension", "token"), strict=True)]
        lines[0] += f"; a cell is the number largest in size of {whose[0]} in {whose[1]}"
    if count > 1:
        lines.append(f"Drawn is the first of {count} in the entry; the .npz has them all.")
    options = options_line(entry)
    if options:
        lines.append(f"Options: {options}")
    if np.isnan(entry.cross_attn).any():
        lines.append("Magenta is NaN.")
    return lines

"""SIGMAS values: the noise levels as a text, a number a line, and as a plot."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Final

import numpy as np

from onnxflow.dump.axis import Axis
from onnxflow.dump.canvas import SOFT, TEXT, TITLE, Canvas
from onnxflow.dump.line_chart import draw_line
from onnxflow.dump.part import Part, text_part
from onnxflow.values import Array, Sigmas

_WIDTH, _HEIGHT = 900, 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 36, 120, 64
_WIDE: Final = 50.0  # levels that span more than this factor are drawn on a logarithmic scale
_MOST_DOTS: Final = 100


def sigmas_parts(sigmas: Sigmas, heading: str) -> Iterator[Part]:
    """A text with every level in as many digits as tell it from its neighbours in float32, and a plot."""
    values = sigmas.values
    yield text_part("".join(f"{np.format_float_positional(value, unique=True, trim='0')}\n" for value in values))
    if len(values):
        yield Part(".png", partial(_plot, values, heading))


def _plot(values: Array, heading: str) -> bytes:
    finite = values[np.isfinite(values)].astype(np.float64)
    above = finite[finite > 0]
    log = bool(len(above)) and bool((finite >= 0).all()) and above.max() > _WIDE * above.min()
    bottom, height = _HEIGHT - _BOTTOM, _HEIGHT - _BOTTOM - _TOP
    if log:
        # A level of 0, where nearly every run ends, lies below any logarithm: it is drawn on the lower edge.
        up = Axis(above.min() / (2.0 if len(above) < len(finite) else 1.0), above.max(), bottom, -height, log=True)
    else:
        low = min(0.0, finite.min()) if len(finite) else 0.0
        high = float(finite.max()) if len(finite) else 1.0
        up = Axis(low, high if high > low else low + 1.0, bottom, -height)
    canvas = Canvas(_WIDTH, _HEIGHT)
    canvas.text(_LEFT - 60, 14, heading, size=TITLE)
    steps = len(values) - 1
    said = f"{steps} steps from sigma {float(f'{values[0]:.6g}'):g} to {float(f'{values[-1]:.6g}'):g}"
    if log:
        said += "; logarithmic scale" + (", 0 lies on the lower edge" if len(above) < len(finite) else "")
    canvas.text(_LEFT - 60, TITLE + 24, said, colour=SOFT)
    if len(finite) < len(values):
        canvas.text(
            _LEFT - 60, TITLE + 30 + TEXT, f"{len(values) - len(finite)} values are NaN or infinite", colour=SOFT
        )
    across = Axis(0, max(steps, 1), _LEFT, _WIDTH - _LEFT - _RIGHT)
    labels = ("step (each goes from one level to the next)", "sigma: spread of the noise")
    dots = 3.5 if len(values) <= _MOST_DOTS else 0.0
    if log and len(above) < len(finite):
        levels = [level for level in up.ticks() if level >= above.min() * (1 - 1e-6)]
        canvas.text(_LEFT - 8, bottom - TEXT * 0.6, "0", align=1.0, colour=SOFT)
        draw_line(canvas, values, across, up, labels, dots=dots, levels=levels)
    else:
        draw_line(canvas, values, across, up, labels, dots=dots)
    return canvas.png()

"""Pictures with opacity laid over each other: T. Porter & T. Duff 1984, "Compositing Digital Images", and the blend
modes that were added to their operators (SVG Compositing Specification, section 6).

All formulas take colours that are multiplied by their opacity. S and D are the source's and the destination's colours,
a and d their opacities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from onnxflow.pixels.arrays import Array, blocks

_ONE, _TWO = np.float32(1), np.float32(2)
_TRANSPARENT: Final = np.float32(1e-5)
"""An opacity up to which there is no colour."""

Operator = Callable[[Array, Array, Array, Array], tuple[Array, Array]]


def _both(a: Array, d: Array) -> Array:
    return a + d - a * d


def _overlay(s: Array, a: Array, d: Array, b: Array) -> Array:
    return np.where(_TWO * d < b, _TWO * s * d, a * b - _TWO * (b - s) * (a - d))


# As Android's PorterDuff.Mode documents them: where the source is transparent, LIGHTEN and OVERLAY count the
# destination twice. Each gives colours and opacity of (source's colours, its opacity, destination's, its opacity).
OPERATORS: Final[Mapping[str, Operator]] = MappingProxyType(
    {
        "ADD": lambda s, a, d, b: (np.clip(s + d, 0, 1), np.clip(a + b, 0, 1)),
        "CLEAR": lambda s, a, d, b: (np.zeros_like(d), np.zeros_like(b)),
        "DARKEN": lambda s, a, d, b: ((_ONE - b) * s + (_ONE - a) * d + np.minimum(s, d), _both(a, b)),
        "DST": lambda s, a, d, b: (d, b),
        "DST_ATOP": lambda s, a, d, b: (a * d + (_ONE - b) * s, a),
        "DST_IN": lambda s, a, d, b: (d * a, a * b),
        "DST_OUT": lambda s, a, d, b: ((_ONE - a) * d, (_ONE - a) * b),
        "DST_OVER": lambda s, a, d, b: (d + (_ONE - b) * s, b + (_ONE - b) * a),
        "LIGHTEN": lambda s, a, d, b: ((_ONE - b) * s + (_ONE - a) * d + np.maximum(s, d), _both(a, b)),
        "MULTIPLY": lambda s, a, d, b: (s * d, a * b),
        "OVERLAY": lambda s, a, d, b: (_overlay(s, a, d, b), _both(a, b)),
        "SCREEN": lambda s, a, d, b: (s + d - s * d, _both(a, b)),
        "SRC": lambda s, a, d, b: (s, a),
        "SRC_ATOP": lambda s, a, d, b: (b * s + (_ONE - a) * d, b),
        "SRC_IN": lambda s, a, d, b: (s * b, a * b),
        "SRC_OUT": lambda s, a, d, b: ((_ONE - b) * s, (_ONE - b) * a),
        "SRC_OVER": lambda s, a, d, b: (s + (_ONE - a) * d, a + (_ONE - a) * b),
        "XOR": lambda s, a, d, b: ((_ONE - b) * s + (_ONE - a) * d, (_ONE - b) * a + (_ONE - a) * b),
    }
)


def composed(
    source: Array, source_opacity: Array, destination: Array, opacity: Array, mode: str
) -> tuple[Array, Array]:
    """Two pictures [h,w,c] with their opacities [h,w] by one of OPERATORS: a picture in 0..1, not multiplied by its
    opacity, and that."""
    pixels, covers = np.empty_like(destination), np.empty_like(opacity)
    operator = OPERATORS[mode]
    for start, stop in blocks(len(destination), destination.shape[1] * destination.shape[2]):
        a, b = source_opacity[start:stop, :, np.newaxis], opacity[start:stop, :, np.newaxis]
        colours, cover = operator(source[start:stop] * a, a, destination[start:stop] * b, b)
        target = pixels[start:stop]
        visible = cover > _TRANSPARENT
        np.divide(colours, cover, out=target, where=visible)
        np.copyto(target, np.float32(0), where=~visible)
        np.clip(target, 0, 1, out=target)
        covers[start:stop] = cover[..., 0]
    return pixels, covers

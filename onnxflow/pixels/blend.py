"""Two pictures mixed pixel by pixel, by the blend modes of picture editors (W3C, "Compositing and Blending Level 1",
section 9.1, with the first picture as the backdrop)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from onnxflow.pixels.arrays import Array, blocks

_ONE, _TWO, _HALF, _QUARTER = np.float32(1), np.float32(2), np.float32(0.5), np.float32(0.25)


def _normal(one: Array, other: Array) -> Array:
    return other.copy()


def _multiply(one: Array, other: Array) -> Array:
    return one * other


def _screen(one: Array, other: Array) -> Array:
    product: Array = _ONE - one
    product *= _ONE - other
    np.subtract(_ONE, product, out=product)
    return product


def _overlay(one: Array, other: Array) -> Array:
    light = _screen(one, other)
    light *= _TWO
    light -= _ONE
    dark = one * other
    dark *= _TWO
    np.copyto(light, dark, where=one <= _HALF)
    return light


def _soft_light(one: Array, other: Array) -> Array:
    """Darker than half the second picture darkens, lighter than half it lightens."""
    curve = np.float32(16) * one
    curve -= np.float32(12)
    curve *= one
    curve += np.float32(4)
    curve *= one
    root = np.sqrt(np.maximum(one, 0))
    np.copyto(root, curve, where=one <= _QUARTER)
    share = _TWO * other
    share -= _ONE
    root -= one
    root *= share
    dark = one * (_ONE - one)
    dark *= share
    np.copyto(root, dark, where=other <= _HALF)
    root += one
    return root


def _difference(one: Array, other: Array) -> Array:
    return one - other


MODES: Final[Mapping[str, Callable[[Array, Array], Array]]] = MappingProxyType(
    {
        "normal": _normal,
        "multiply": _multiply,
        "screen": _screen,
        "overlay": _overlay,
        "soft_light": _soft_light,
        "difference": _difference,
    }
)
"""What each makes of two arrays of one shape; ``difference`` has a sign, which is lost only after mixing."""


def blended(one: Array, other: Array, mode: str, factor: float) -> Array:
    """``one`` [b,h,w,c] mixed with ``factor`` of what ``mode`` makes of it and ``other``, of the same shape; in
    0..1."""
    mix = MODES[mode]
    share, rest = np.float32(factor), np.float32(1 - factor)
    result = np.empty_like(one)
    for index in range(len(one)):
        for start, stop in blocks(one.shape[1], one.shape[2] * one.shape[3]):
            first = one[index, start:stop]
            target = result[index, start:stop]
            made = mix(first, other[index, start:stop])
            made *= share
            np.multiply(first, rest, out=target)
            target += made
            np.clip(target, 0, 1, out=target)
    return result

"""Floats that numpy has no type for, widened to float32: each of their values is one of float32's, so nothing is lost.

BF16 is the upper half of a float32. FP8's two kinds are those of Micikevicius et al., "FP8 Formats for Deep Learning"
(2022), table 1: E5M2 is the upper half of a float16; E4M3 has no infinity, and one NaN of each sign.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray


def widened_bfloat16(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """The numbers whose bits are ``bits``, in the same shape."""
    wide = bits.astype(np.uint32)
    np.left_shift(wide, np.uint32(16), out=wide)
    return wide.view(np.float32)


def widened_float8_e4m3(bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The numbers whose bits are ``bits``, in the same shape: up to 448 in size."""
    return np.asarray(_e4m3()[bits])


def widened_float8_e5m2(bits: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The numbers whose bits are ``bits``, in the same shape: up to 57,344 in size, and infinity."""
    return np.asarray(_e5m2()[bits])


WIDENED: Final[Mapping[str, Callable[[NDArray[Any]], NDArray[np.float32]]]] = MappingProxyType(
    {"BF16": widened_bfloat16, "F8_E4M3": widened_float8_e4m3, "F8_E5M2": widened_float8_e5m2}
)
"""The functions by the names that safetensors has for the types."""


@cache
def _e4m3() -> NDArray[np.float32]:
    bits = np.arange(256)
    exponent, fraction = bits >> 3 & 15, bits & 7
    # Subnormal numbers have the least exponent and no leading one.
    ones = (fraction + np.where(exponent > 0, 8, 0)).astype(np.float32)
    size: NDArray[np.float32] = np.ldexp(ones, np.maximum(exponent, 1) - 10)
    size[bits & 127 == 127] = np.nan
    size[128:] *= np.float32(-1)
    return size


@cache
def _e5m2() -> NDArray[np.float32]:
    halves: NDArray[np.float16] = (np.arange(256, dtype=np.uint16) << np.uint16(8)).view(np.float16)
    return halves.astype(np.float32)

"""Resizing by the name of a method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from onnxflow.errors import InputError, MemoryLimitError
from onnxflow.resize import area, bislerp, cubic, lanczos, linear, nearest
from onnxflow.resize.crop import cropped
from onnxflow.resize.separable import resample
from onnxflow.resize.taps import Array

METHODS: Mapping[str, Callable[[Array, int, int], Array]] = MappingProxyType(
    {
        "nearest-exact": nearest.resample,
        "bilinear": partial(resample, taps=linear.taps),
        "area": partial(resample, taps=area.taps),
        "bicubic": partial(resample, taps=cubic.taps),
        "bislerp": bislerp.resample,
        "lanczos": lanczos.resample,
    }
)
CROPS = ("disabled", "center")


def resize(values: Array, width: int, height: int, method: str, crop: str = "disabled") -> Array:
    """A new array [b,c,height,width] of ``values``, float32 [b,c,h,w] with any number of channels.

    ``method`` is one of METHODS, as ComfyUI calls them. With ``crop`` "center" the middle in the new proportions is
    resized, with "disabled" all of it. NaN and infinity spread as the arithmetic has it, and lanczos, which knows only
    0..1 in 8 bits, makes 0 of NaN. Values stay bit by bit where the size stays, but for lanczos. InputError for an
    unknown name, an empty array, another rank and a size below 1; MemoryLimitError when the result does not fit.
    """
    values = np.asarray(values, np.float32)
    if values.ndim != 4 or values.size == 0:
        raise InputError(
            f"cannot resize values of shape {list(values.shape)}: expected [batch, channels, height, width]"
        )
    if width < 1 or height < 1:
        raise InputError(
            f"cannot resize {values.shape[3]}x{values.shape[2]} to {width}x{height}: a side is less than 1",
            hint="ask for a larger size or scale",
        )
    if method not in METHODS:
        raise InputError(f"no resizing method {method!r}", hint=f"there are {', '.join(METHODS)}")
    if crop not in CROPS:
        raise InputError(f"no crop {crop!r}", hint=f"there are {', '.join(CROPS)}")
    if crop == "center":
        values = cropped(values, width, height)
    try:
        with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinity are looked for where values are used
            return METHODS[method](values, width, height)
    except MemoryError:
        batch, channels = values.shape[:2]
        raise MemoryLimitError(
            f"{batch} x {channels} planes of {width}x{height} do not fit into memory",
            hint="ask for a smaller size, or a smaller batch",
        ) from None

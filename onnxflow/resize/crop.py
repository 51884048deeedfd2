"""The middle of pictures, in the proportions of another size."""

from __future__ import annotations

from onnxflow.errors import InputError
from onnxflow.resize.taps import Array


def cropped(values: Array, width: int, height: int) -> Array:
    """The middle of ``values`` [b,c,h,w] with the proportions of ``width`` x ``height``, a view; InputError if empty.

    The same number of rows or columns goes on both sides: half of what is too much,
    rounded, and of two equally near numbers to the even one.
    """
    old_height, old_width = values.shape[2:]
    old_aspect, aspect = old_width / old_height, width / height
    x = y = 0
    # Computed in this order on purpose: where half a pixel is at stake, the order decides which way it is rounded.
    if old_aspect > aspect:
        x = round((old_width - old_width * (aspect / old_aspect)) / 2)
    elif old_aspect < aspect:
        y = round((old_height - old_height * (old_aspect / aspect)) / 2)
    left_width, left_height = old_width - 2 * x, old_height - 2 * y
    if left_width < 1 or left_height < 1:
        raise InputError(
            f"cropping {old_width}x{old_height} to the proportions of {width}x{height} leaves nothing",
            where="crop center",
            hint='use crop "disabled", or a size whose proportions are closer to the picture\'s',
        )
    return values[:, :, y : y + left_height, x : x + left_width]

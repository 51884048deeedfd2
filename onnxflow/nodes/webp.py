"""WebP files: moving pictures with texts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError
from onnxflow.nodes import exif

LARGEST_SIDE = 16383


def encode(
    frames: Sequence[NDArray[np.uint8]],
    texts: Mapping[str, str],
    *,
    duration: int,
    lossless: bool,
    quality: int,
    method: int,
) -> bytes:
    """``frames`` [height, width, 1|3|4] as a WebP file that shows each for ``duration`` milliseconds, over and over,
    with ``texts`` as EXIF data; a still picture for a single one.

    ``quality`` is 0..100 and ``method`` 0 (fast) to 6 (small); the lossless kind compresses more with either.
    InputError when a side is longer than LARGEST_SIDE, the most that WebP can say.
    """
    from PIL import Image

    height, width = frames[0].shape[:2]
    if max(height, width) > LARGEST_SIDE:
        raise InputError(
            f"a WebP file cannot hold pictures of {width} x {height} pixels",
            hint=f"make them no larger than {LARGEST_SIDE} on a side, or save them as PNG",
        )
    first, *others = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in frames]
    file = io.BytesIO()
    first.save(
        file,
        "WEBP",
        save_all=True,
        append_images=others,
        duration=duration,
        lossless=lossless,
        quality=quality,
        method=method,
        exif=exif.encode(texts),
    )
    return file.getvalue()

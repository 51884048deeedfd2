"""Are a network's outputs numbers? A provider that overflows in 16 bits gives NaN, and the picture is black."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def bad_share(outputs: Mapping[str, NDArray[Any]]) -> dict[str, float]:
    """The share, 0..1, of NaN and infinity in each output that has any."""
    bad = {}
    for name, array in outputs.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            bad[name] = float(1 - np.isfinite(array).mean())
    return bad

"""The array type of this package, and work cut into blocks that a processor's cache holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

BLOCK_VALUES: Final = 1 << 16
"""Values of a block, 256 KiB: small enough to stay in the cache, large enough that numpy's calls hardly count."""


def blocks(count: int, size: int) -> Iterator[tuple[int, int]]:
    """First and last + 1 of each block, for ``count`` rows of ``size`` values."""
    step = max(1, BLOCK_VALUES // max(1, size))
    return ((start, min(start + step, count)) for start in range(0, count, step))

"""Parts of batches, as the nodes on pictures and those on latents take them."""

from __future__ import annotations

from typing import Final

MOST: Final = 4096
"""Pictures of a batch that a node may be asked for."""


def part_of_batch(count: int, index: int, length: int) -> slice:
    """``length`` of a batch of ``count`` from ``index`` on, as far as there are any, the last one at least."""
    first = min(count - 1, index)
    return slice(first, first + min(count - first, length))

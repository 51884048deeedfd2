"""What the JSON header of a file of tensors may cost: counted before it is parsed, for parsing takes far more memory
than the text, and a header of 100 MB could hold fifty million values."""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

MAX_TENSORS: Final = 200_000
"""Tensors in one file; the largest diffusion models have a few thousand."""

_DEEPEST: Final = 3  # the header, a tensor's entry, its shape
_MOST: Final = {
    # Twice what MAX_TENSORS ordinary entries of four dimensions have, or more: metadata take some too.
    "texts": 10 * MAX_TENSORS,
    "values": 16 * MAX_TENSORS,
    "lists and objects": 6 * MAX_TENSORS,
}
_TEXT: Final = re.compile(rb'"[^"]*"?')
_ALL_BUT_BRACKETS: Final = bytes(set(range(256)) - set(b"{[]}"))


def check_bounds(header: bytes) -> None:
    """ValueError when the header has too many tensors, or something else in it, or is nested deeper than the format.

    It takes a second for the largest header. It does not say whether the header is JSON.
    """
    tensors = header.count(b'"data_offsets"')
    if tensors > MAX_TENSORS:
        raise ValueError(f"it has {tensors:,} tensors, allowed are {MAX_TENSORS:,}")
    # Without escaped backslashes, then without escaped quotes, every quote begins or ends a text.
    plain = header.replace(rb"\\", b"").replace(rb"\"", b"")
    _count("texts", (plain.count(b'"') + 1) // 2)
    outside = _TEXT.sub(b"", plain)
    _count("values", outside.count(b",") + 1)
    brackets = outside.translate(None, delete=_ALL_BUT_BRACKETS)
    _count("lists and objects", (len(brackets) + 1) // 2)
    depth = max(accumulate(1 if bracket in b"{[" else -1 for bracket in brackets), default=0)
    if depth > _DEEPEST:
        raise ValueError(f"its header is nested {depth:,} deep, allowed are {_DEEPEST}")


def _count(what: str, found: int) -> None:
    if found > _MOST[what]:
        raise ValueError(f"its header has {found:,} {what}, allowed are {_MOST[what]:,}")

"""Which device is being tried, on one line of stderr that is gone afterwards; silent where nobody looks on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def say_what_is_tried() -> Iterator[Callable[[str], None]]:
    """What to tell it to."""
    shown = [0]
    terminal = sys.stderr.isatty()

    def tell(text: str) -> None:
        if terminal:
            print(f"\r{text + ' ...':<{shown[0]}}", end="", file=sys.stderr, flush=True)
            shown[0] = len(text) + 4

    try:
        yield tell
    finally:
        if shown[0]:
            print(f"\r{'':<{shown[0]}}\r", end="", file=sys.stderr, flush=True)

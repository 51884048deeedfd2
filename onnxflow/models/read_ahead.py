"""Asking the system to read parts of a file before they are needed, so that the disk works while the processor does."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable
from pathlib import Path

Range = tuple[int, int]
"""The first byte and the number of bytes."""


def merged(ranges: Iterable[Range]) -> list[Range]:
    """The same bytes in as few ranges as possible, in order."""
    found: list[Range] = []
    for start, length in sorted(ranges):
        if found and start <= found[-1][0] + found[-1][1]:
            first = found[-1][0]
            found[-1] = (first, max(found[-1][1], start + length - first))
        else:
            found.append((start, length))
    return found


def read_ahead(path: Path, ranges: Iterable[Range]) -> threading.Thread | None:
    """Have these bytes of a file read into the page cache by a thread, which is returned; None where the system takes
    no such advice. It is advice: nothing is raised."""
    advise = getattr(os, "posix_fadvise", None)
    if advise is None:
        return None
    wanted = merged(ranges)

    def work() -> None:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            for start, length in wanted:
                advise(file.fileno(), start, length, os.POSIX_FADV_WILLNEED)

    thread = threading.Thread(target=work, name="read ahead", daemon=True)
    thread.start()
    return thread

"""stdout is for results: what node packs and libraries print meanwhile goes to stderr, and no progress bar takes it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO


@contextmanager
def results_only() -> Iterator[TextIO]:
    """The real stdout, for results alone while inside; ``print`` and its kin write to stderr."""
    out = sys.stdout
    with redirect_stdout(sys.stderr):
        yield out

"""Which libraries of the system a provider lacks: asked of the loader, so in a child process only."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator

from onnxflow.providers.failure import loads
from onnxflow.providers.provider import Library, Provider
from onnxflow.providers.runtime import onnxruntime


def needed(facts: Provider) -> list[Library]:
    """The libraries that a provider needs on this system."""
    return [library for library in facts.libraries if library.platform == sys.platform]


def missing(facts: Provider) -> Iterator[list[str]]:
    """The names of those that do not load, as far as they were tried, after each: the next may crash as it is loaded.
    CUDA that pip installed is found where ONNX Runtime finds it."""
    preload = getattr(onnxruntime(), "preload_dlls", None)
    if preload is not None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(Exception):  # it prints what it lacks
            preload()
    names: list[str] = []
    for library in needed(facts):
        if not loads(library.name):
            names.append(library.name)
        yield list(names)

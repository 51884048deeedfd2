"""Graphs that a provider has compiled into an EPContext model: kept, and loaded in place of the graph the next time.

For providers that have no folder of their own for what they compile. The model is one file, which holds what was
compiled inside, and is moved to its name when it is whole.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any, Final

from onnxflow.providers.target import Target

LARGEST: Final = 1_500_000_000
"""Bytes of weights: the model that holds what was compiled is one message of protocol buffers, of 2 GB at most."""


def context_file(target: Target, graph: Path) -> Path | None:
    """Where the compiled model of a graph is kept, in the target's folder; None where nothing is kept so."""
    facts = target.device.facts
    if target.cache is None or facts.cache or not facts.context:
        return None
    weights = graph.with_suffix(".bin")
    bytes_ = sum(path.stat().st_size for path in (graph, weights) if path.is_file())
    return target.cache / "context.onnx" if bytes_ <= LARGEST else None


def ask_for_context(options: Any, file: Path) -> Path | None:
    """Let ONNX Runtime write the compiled model beside ``file``, under the name that is given back; None where the
    folder cannot be written."""
    part = file.with_name(f".{file.stem}.{os.urandom(8).hex()}.part.onnx")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    options.add_session_config_entry("ep.context_enable", "1")
    options.add_session_config_entry("ep.context_embed_mode", "1")
    options.add_session_config_entry("ep.context_file_path", str(part))
    return part


def keep_context(part: Path, file: Path) -> None:
    """Move a compiled model to its name, if one was written."""
    try:
        part.replace(file)
    except OSError:
        drop(part)


def drop(file: Path) -> None:
    """Remove a file, if it is there and nobody has it open."""
    with contextlib.suppress(OSError):
        file.unlink(missing_ok=True)

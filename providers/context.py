"""Graphs that a provider has compiled into an EPContext model: kept, and loaded in place of the graph the next time.

For providers that have no folder of their own for what they compile. The model is one file, which holds what was
compiled inside, and is moved to its name when it is whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxflow.providers.cache_folder import digest
from onnxflow.providers.target import Target


def context_file(target: Target, sizes: Mapping[str, int]) -> Path | None:
    """Where the compiled model of a target in these sizes is kept; None where nothing is kept so."""
    facts = target.device.facts
    if target.cache is None or facts.cache or not facts.context:
        return None
    return target.cache / f"{digest(repr(sorted(sizes.items())))}.onnx"


def ask_for_context(options: Any, file: Path) -> Path | None:
    """Let ONNX Runtime write the compiled model beside ``file``, under the name that is given back; None where the
    folder cannot be written."""
    part = file.with_name(f".{file.stem}.{os.getpid()}.part.onnx")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
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
        part.unlink(missing_ok=True)

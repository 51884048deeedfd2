"""Graphs that ONNX Runtime has optimised on this machine: kept without their weights, and loaded in place of the graph
the next time.

What is kept depends on the graph with the types and shapes of its weights, on the precision, on the processor and on
ONNX Runtime. A file holds the SHA-256 of its contents, and is moved to its name when it is whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from onnxflow.models.graph_file import GraphFile
from onnxflow.models.weightless import Weightless, weightless, with_weights
from onnxflow.providers.cache_folder import cache_folder, digest
from onnxflow.providers.runtime import onnxruntime

FOLDER: Final = "graphs"
_FORM: Final = "1"  # raised when leave_in_place asks something else of ONNX Runtime
_DIGEST: Final = 64  # characters of a SHA-256
_MOST: Final = 64  # graphs that are kept, of 0.1 to 0.7 MB each
_LEFT: Final = 3600  # seconds after which an unfinished file is one that was left


def optimised(file: GraphFile, precision: str, options: Callable[[], Any]) -> bytes | None:
    """The graph of ``file`` as ONNX Runtime optimises it with ``options``, with its weights where they lie; made and
    kept if it is not there. None where that cannot be done: the graph itself is loaded then."""
    try:
        parts = weightless(file)
        if parts is None:
            return None
        path = _path(parts, precision)
        model = _read(path)
        if model is not None:
            with contextlib.suppress(ValueError):
                return with_weights(model, parts.weights)
        made = _made(parts, path, options())
        return with_weights(made, parts.weights) if made is not None else None
    except ValueError:
        return None


def forget(file: GraphFile, precision: str) -> None:
    """Remove what is kept for a graph: it could not be loaded."""
    parts = weightless(file)
    if parts is not None:
        with contextlib.suppress(OSError):
            _path(parts, precision).unlink(missing_ok=True)


def _path(parts: Weightless, precision: str) -> Path:
    content = hashlib.sha256(parts.model).hexdigest()
    key = digest(_FORM, content, precision, _processor(), onnxruntime().__version__)
    return cache_folder() / FOLDER / f"{key}.onnx"


@lru_cache(maxsize=1)
def _processor() -> str:
    """What tells one kind of processor from another: its name and what it can do, where the system says that."""
    lines: list[str] = []
    with contextlib.suppress(OSError, ValueError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0]
        lines = [line for line in text.splitlines() if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return "\n".join([platform.machine(), platform.processor(), *lines])


def _read(path: Path) -> bytes | None:
    """What is kept, if it is whole."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    model = data[_DIGEST:]
    with contextlib.suppress(OSError):
        os.utime(path)  # what is used is kept longest
    return model if hashlib.sha256(model).hexdigest().encode() == data[:_DIGEST] else None


def _made(parts: Weightless, path: Path, options: Any) -> bytes | None:
    """The optimised graph, kept where the folder can be written; None when there is nowhere to have it written to."""
    part = path.with_name(f".{path.stem}.{os.urandom(8).hex()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        options.optimized_model_filepath = str(part)
        onnxruntime().InferenceSession(parts.model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
        model = part.read_bytes()
        part.write_bytes(hashlib.sha256(model).hexdigest().encode() + model)
        part.replace(path)
        _tidy(path.parent)
    except Exception:  # ONNX Runtime's errors share no base class; the graph itself is loaded, which says what is wrong
        return None
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return model


def _tidy(folder: Path) -> None:
    """Remove the graphs beyond the number that is kept, the longest unused first, and what was left unfinished."""
    seen: list[tuple[float, Path]] = []
    for path in folder.iterdir():
        with contextlib.suppress(OSError):  # another process tidies up, too
            changed = path.stat().st_mtime
            if path.suffix == ".onnx":
                seen.append((changed, path))
            elif path.suffix == ".part" and changed < time.time() - _LEFT:
                path.unlink()
    for _, path in sorted(seen, reverse=True)[_MOST:]:
        with contextlib.suppress(OSError):
            path.unlink()

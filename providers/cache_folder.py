"""Where what was found out and compiled on this machine is kept between runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "ONNXFLOW_CACHE"


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """ONNXFLOW_CACHE, else onnxflow/ in the user's folder for caches; nothing is made. Of a user without a home a place
    where nothing can be kept: what all share would be whoever's was there first."""
    if named := environment.get(VARIABLE):
        return Path(named).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME") or environment.get("LOCALAPPDATA")
    if base:
        return Path(base) / "onnxflow"
    try:
        home = Path.home()
    except RuntimeError:
        return Path(os.devnull) / "onnxflow"
    return home / ("Library/Caches" if sys.platform == "darwin" else ".cache") / "onnxflow"


def recall(name: str, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """What was kept under ``name``; empty when nothing was, or it cannot be read."""
    try:
        found = json.loads((cache_folder(environment) / f"{name}.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(name: str, values: Mapping[str, Any], environment: Mapping[str, str] = os.environ) -> None:
    """Keep ``values`` besides what is kept under ``name``; a folder that cannot be written is no reason to fail."""
    folder = cache_folder(environment)
    part = folder / f".{name}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({**recall(name, environment), **values}, indent=1), "utf-8")
        part.replace(folder / f"{name}.json")
    except OSError:
        with contextlib.suppress(OSError):
            part.unlink()


def digest(*parts: str) -> str:
    """A short name for a combination of texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]

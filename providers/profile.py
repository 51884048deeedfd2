"""What ONNX Runtime's own profiler says of a session's making and of its first call."""

from __future__ import annotations

import contextlib
import glob
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Profile:
    """Seconds to read a model, seconds to optimise and compile it, and the share of the first call's time, 0..1, that
    each execution provider's nodes took."""

    load_seconds: float = 0.0
    build_seconds: float = 0.0
    shares: Mapping[str, float] = field(default_factory=dict)


def profile_files(prefix: str) -> list[Path]:
    """What ONNX Runtime wrote for a session with this prefix."""
    return [Path(path) for path in glob.glob(glob.escape(prefix) + "*")]


def drop_profile(prefix: str) -> None:
    """Remove what was written, or is being written, with this prefix."""
    for path in profile_files(prefix) if prefix else ():
        with contextlib.suppress(OSError):
            path.unlink()


def read_profile(path: Path) -> Profile:
    """The profile in a file that ONNX Runtime wrote; an empty one when it cannot be read."""
    try:
        events: Any = json.loads(path.read_text("utf-8"))
        seconds: Counter[str] = Counter()
        shares: Counter[str] = Counter()
        for event in events:
            name, kind = event["name"], event.get("cat")
            if kind == "Session":
                seconds[name.split("_")[0] if name.startswith("model_loading") else name] += event["dur"] / 1e6
            elif kind == "Node" and name.endswith("_kernel_time"):
                shares[event["args"]["provider"]] += event["dur"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Profile()
    total = sum(shares.values())
    return Profile(
        seconds["model"],
        seconds["session_initialization"],
        {ep: spent / total for ep, spent in shares.most_common()} if total else {},
    )

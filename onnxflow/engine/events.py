"""What happens during a run, named and shaped as ComfyUI's WebSocket messages (contract D)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One message. ``type`` is one of the names below, ``data`` is JSON, ``preview`` draws a picture when called.

    execution_start · execution_cached {nodes} · executing {node} · progress {value, max, node}
    · executed {node, output} · execution_success · execution_error {node_id, exception_message ...}
    · execution_interrupted
    """

    type: str
    data: Mapping[str, Any]
    preview: Callable[[], Any] | None = None


Listener = Callable[[Event], None]

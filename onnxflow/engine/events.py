"""What happens during a run, in those of ComfyUI's WebSocket messages that concern one run (contract D).

Left out are ``status`` and ``progress_state``, which a server adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from onnxflow.values import SavedFile


@dataclass(frozen=True, slots=True)
class Event:
    """One message. ``type`` is one of the names below, ``data`` is JSON.

    ``preview``, which ``progress`` messages of samplers have, draws a picture of the step when called, a
    ``values.Preview``, or gives None for a model whose latents have no known colours; nothing is computed before.
    ``saved`` are the files behind an ``executed`` message.

    execution_start · execution_cached {nodes} · executing {node} · progress {value, max, node}
    · executed {node, output} · execution_success · execution_error {node_id, exception_message ...}
    · execution_interrupted; and two of our own: session {phase, model, component, device ...}, the phase being
    checking, loading, ready or first; and dumped {node, files}, the paths that a look at a node's result came to
    """

    type: str
    data: Mapping[str, Any]
    preview: Callable[[], Any] | None = None
    saved: tuple[SavedFile, ...] = ()


Listener = Callable[[Event], None]


class ListenerFailed(BaseException):
    """A listener raised ``error``. Not an Exception, so that no node takes it for its own failure."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error

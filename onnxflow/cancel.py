"""Stopping a run from another thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from onnxflow.errors import Cancelled


class CancelToken:
    """A switch that is thrown once: ``cancel`` may be called from any thread, any number of times."""

    __slots__ = ("_callbacks", "_lock", "cancelled")

    def __init__(self) -> None:
        self.cancelled = False
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []

    def cancel(self) -> None:
        """Ask the run to stop; what is inside a long call is told through its callback."""
        with self._lock:
            self.cancelled = True
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raise Cancelled when the run was asked to stop."""
        if self.cancelled:
            raise Cancelled()

    @contextmanager
    def calling(self, callback: Callable[[], None]) -> Iterator[None]:
        """While inside, ``cancel`` calls ``callback`` (at once if it was already called)."""
        with self._lock:
            self._callbacks.append(callback)
            already = self.cancelled
        try:
            if already:
                callback()
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)

"""The handles that travel in a run: with the last one to a model's networks, their sessions are given back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from onnxflow.providers.session import SessionLease
from onnxflow.values import Handle, handle_of

_Networks = tuple[str, tuple[str, ...]]


class Handles:
    """How many values are, or carry, a handle to each group of networks."""

    def __init__(self, sessions: SessionLease) -> None:
        self._sessions = sessions
        self._count: Counter[_Networks] = Counter()
        self._kept_open: set[_Networks] = set()

    def hold(self, handle: Handle) -> None:
        """A value that is or carries the handle is kept."""
        self._count[_networks(handle)] += 1

    def let_go(self, handle: Handle) -> None:
        """Such a value is dropped."""
        networks = _networks(handle)
        self._count[networks] -= 1
        if not self._count[networks] and networks not in self._kept_open:
            self._sessions.release(*networks)

    def keep_open(self, values: Iterable[Any]) -> None:
        """The sessions of the models among the values outlive their last handle: another run needs them."""
        handles = (handle_of(value) for value in values)
        self._kept_open.update(_networks(handle) for handle in handles if handle is not None)


def _networks(handle: Handle) -> _Networks:
    return handle.source.identity, handle.COMPONENTS

"""Keeping ONNX Runtime sessions: the one place where a component's graph is loaded.

A session is identified by what it computes and how: the model's identity, the component, the variant, the device and
the options. Asked for twice, it is built once. Runs hold sessions through a lease, so that one run cannot close what
another still uses, and so that each run's report says what that run did.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.providers.foreign import translated
from onnxflow.providers.graph import LoadedGraph, OrtGraph

if TYPE_CHECKING:
    from onnxflow.values import Feeds, Session

CPU = "cpu"
OWN = "onnxflow"
"""The interface of graphs that need no translation."""


class ModelSource(Protocol):
    """What a session is loaded from."""

    @property
    def identity(self) -> str:
        """The same for the same weights."""
        ...

    @property
    def name(self) -> str:
        """For messages."""
        ...

    def graph(self, component: str, variant: str) -> Path:
        """The ONNX file of a component."""
        ...

    def interface(self, component: str) -> str:
        """Whose names the component's graph has: OWN for the component contract's."""
        ...


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What makes two sessions the same."""

    identity: str
    component: str
    variant: str
    device: str = CPU
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SessionUse:
    """What a session did during one run: where it ran, the seconds its loading took (0 when it was open), its calls."""

    model: str
    component: str
    variant: str
    device: str
    load_seconds: float = 0.0
    calls: int = 0
    run_seconds: float = 0.0


Loader = Callable[[ModelSource, SessionKey, CancelToken], LoadedGraph]


def load_graph(source: ModelSource, key: SessionKey, cancel: CancelToken) -> LoadedGraph:
    """The graph of ``key`` in ONNX Runtime, translated if it has others' names; ModelError, MemoryLimitError or
    Cancelled."""
    name = f"{source.name}: {key.component} ({key.variant}, {key.device})"
    graph = OrtGraph(source.graph(key.component, key.variant), name, cancel)
    return graph if source.interface(key.component) == OWN else translated(graph, key.component, name)


class _Entry:
    """An open session, or one being opened: ``loading`` is held meanwhile. ``users`` counts the leases that hold it."""

    __slots__ = ("graph", "loading", "unwanted", "users")

    def __init__(self) -> None:
        self.loading = threading.Lock()
        self.graph: LoadedGraph | None = None
        self.users = 0
        self.unwanted = False


class SessionCache:
    """Open sessions by key, shared by all runs of a process."""

    def __init__(self, load: Loader = load_graph) -> None:
        self._load = load
        self._entries: dict[SessionKey, _Entry] = {}
        self._lock = threading.Lock()

    def lease(self, cancel: CancelToken) -> SessionLease:
        """A run's way to the sessions; ``cancel`` stops its loads and runs."""
        return SessionLease(self, cancel)

    def close(self) -> None:
        """Close every session that no run holds."""
        with self._lock:
            for key in [key for key, entry in self._entries.items() if not entry.users]:
                self._close(key)

    def _take(self, source: ModelSource, key: SessionKey, cancel: CancelToken, held: bool) -> tuple[_Entry, float]:
        """The entry of ``key``, counted as used once more unless ``held``, and the seconds that loading it took."""
        with self._lock:
            entry = self._entries.setdefault(key, _Entry())
            entry.users += 0 if held else 1
            entry.unwanted = False
        seconds = 0.0
        try:
            with entry.loading:  # another key loads meanwhile; this one is built once
                if entry.graph is None:
                    started = time.perf_counter()
                    entry.graph = self._load(source, key, cancel)
                    seconds = time.perf_counter() - started
        except BaseException:
            if not held:
                self._give_back(key, entry, unwanted=True)
            raise
        return entry, seconds

    def _give_back(self, key: SessionKey, entry: _Entry, *, unwanted: bool) -> None:
        """One user less; the session is closed when nobody is left and somebody said that it will not be needed."""
        with self._lock:
            entry.users -= 1
            entry.unwanted |= unwanted
            if not entry.users and entry.unwanted and self._entries.get(key) is entry:
                self._close(key)

    def _close(self, key: SessionKey) -> None:
        entry = self._entries.pop(key)
        if entry.graph is not None:
            entry.graph.close()
        entry.graph = None


class SessionLease:
    """The sessions of one run: opened on first use, given back one by one or all at the end."""

    def __init__(self, cache: SessionCache, cancel: CancelToken) -> None:
        self._cache = cache
        self._cancel = cancel
        self._held: dict[SessionKey, _Entry] = {}
        self._uses: dict[SessionKey, SessionUse] = {}

    def get(self, source: ModelSource, component: str, variant: str) -> Session:
        """The open session of a component in one variant, loading it on first use."""
        key = SessionKey(source.identity, component, variant)
        entry, seconds = self._cache._take(source, key, self._cancel, key in self._held)
        self._held[key] = entry
        use = self._uses.setdefault(key, SessionUse(source.name, component, key.variant, key.device))
        self._uses[key] = replace(use, load_seconds=use.load_seconds + seconds)
        return _BoundSession(self, key, entry)

    def release(self, identity: str, components: Iterable[str]) -> None:
        """Give back the sessions of a model's components; each is closed unless another run holds it."""
        names = set(components)
        for key in [k for k in self._held if k.identity == identity and k.component in names]:
            self._cache._give_back(key, self._held.pop(key), unwanted=True)

    def close(self) -> None:
        """Give back what is held; it stays open for the next run."""
        for key in list(self._held):
            self._cache._give_back(key, self._held.pop(key), unwanted=False)

    def uses(self) -> tuple[SessionUse, ...]:
        """What each session did for this run, in the order they were opened."""
        return tuple(self._uses.values())

    def _run(self, key: SessionKey, entry: _Entry, feeds: Feeds) -> dict[str, NDArray[Any]]:
        graph = entry.graph
        assert graph is not None, "a session was used after it was given back"
        started = time.perf_counter()
        try:
            return graph.run(feeds, self._cancel)
        finally:
            use = self._uses[key]
            seconds = time.perf_counter() - started
            self._uses[key] = replace(use, calls=use.calls + 1, run_seconds=use.run_seconds + seconds)


class _BoundSession:
    """A session as one run sees it: stopped by that run's token, counted in its report."""

    __slots__ = ("_entry", "_key", "_lease")

    def __init__(self, lease: SessionLease, key: SessionKey, entry: _Entry) -> None:
        self._lease = lease
        self._key = key
        self._entry = entry

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        return self._lease._run(self._key, self._entry, feeds)

    def close(self) -> None:
        """Nothing: the lease gives the session back."""

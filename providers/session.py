"""Keeping ONNX Runtime sessions: the one place where a component's graph is loaded.

A session is identified by what it computes and how: the model's identity, the component, the variant, the device, and
whether others may help it. Asked for twice, it is built once. Runs hold sessions through a lease, so that one run
cannot close what another still uses, and so that each run's report says what that run did.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.models.graph_header import read_header
from onnxflow.providers.compiled import compiled_folder
from onnxflow.providers.component_session import ComponentSession
from onnxflow.providers.foreign import NamedGraph, translated
from onnxflow.providers.graph import NO_FACTS, LoadedGraph, OrtGraph, SizedGraph
from onnxflow.providers.loading import DEFAULT, FAST, LOW
from onnxflow.providers.placement import Placement
from onnxflow.providers.session_key import (
    FAIL,
    ON_NAN,
    OWN,
    UPCAST,
    ModelSource,
    SessionKey,
    SessionUse,
    UseKey,
)
from onnxflow.providers.target import Target

if TYPE_CHECKING:
    from onnxflow.values import Feeds, Session

__all__ = [
    "FAIL",
    "LOW",
    "ON_NAN",
    "OWN",
    "UPCAST",
    "Loader",
    "ModelSource",
    "SessionCache",
    "SessionKey",
    "SessionLease",
    "SessionUse",
    "load_graph",
]

Loader = Callable[[ModelSource, SessionKey, CancelToken], LoadedGraph]


def load_graph(source: ModelSource, key: SessionKey, cancel: CancelToken) -> LoadedGraph:
    """The graph of ``key`` on its device, translated if it has others' names; ModelError, ProviderError,
    MemoryLimitError or Cancelled."""
    name = f"{source.name}: {key.component} ({key.variant}, {key.device})"
    file = source.graph(key.component, key.variant)
    target = Target(
        key.device,
        key.variant,
        key.fallback,
        compiled_folder(key.device, key.identity, key.component, key.variant),
        key.split,
        key.loading,
    )
    graph: NamedGraph
    if key.device.fixed:
        header = read_header(file)
        inputs = {name: declared.shape for name, declared in header.inputs.items()}
        graph = SizedGraph(
            lambda sizes, cancel: OrtGraph(file, name, cancel, target, sizes), inputs, tuple(header.outputs)
        )
    else:
        graph = OrtGraph(file, name, cancel, target)
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

    def like(self, key: SessionKey) -> SessionKey:
        """The key of an open session that computes the same, however it was loaded; else ``key`` itself."""
        same = (replace(key, loading=loading) for loading in (key.loading, FAST, DEFAULT, LOW))
        return next((one for one in same if one in self._entries), key)

    def has(self, key: SessionKey) -> bool:
        """Whether the session of ``key`` is open or being opened."""
        return key in self._entries

    def lease(self, cancel: CancelToken, on_nan: str = FAIL) -> SessionLease:
        """A run's way to the sessions; ``cancel`` stops its loads and runs, ``on_nan`` is FAIL or UPCAST."""
        return SessionLease(self, cancel, on_nan)

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

    def __init__(self, cache: SessionCache, cancel: CancelToken, on_nan: str = FAIL) -> None:
        self._cache = cache
        self._cancel = cancel
        self.on_nan = on_nan
        self.tell: Callable[[str, SessionUse], None] = lambda phase, use: None
        """Called with "checking", "loading", "ready" or "first", and what is known of the session then."""
        self._held: dict[SessionKey, _Entry] = {}
        self._uses: dict[UseKey, SessionUse] = {}

    def get(
        self,
        source: ModelSource,
        component: str,
        placement: Placement,
        when: Callable[[], str] = lambda: "",
    ) -> Session:
        """The open session of a component where it was placed, loading it on first use; ``when`` says in messages how
        far its node has come."""
        session = ComponentSession(self, source, component, placement, when)
        session.open()
        return session

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

    def check(self, source: ModelSource, component: str, placement: Placement) -> None:
        """Load a graph where it was placed and close it again, for what that raises: nothing of it is reported."""
        key = SessionKey(source.identity, component, placement.variant, placement.device, False, placement.split)
        if key in self._held:
            return
        self.tell("checking", SessionUse(source.name, component, key.variant, key.device, placement.asked))
        entry, _ = self._cache._take(source, key, self._cancel, False)
        self._cache._give_back(key, entry, unwanted=True)

    def open(self, source: ModelSource, key: SessionKey, placement: Placement) -> UseKey:
        """Take a session for this run and note it in its report, by what was asked for: what one node wished for is to
        another one a fallback."""
        key = self._cache.like(key)
        named = (key, placement.asked, placement.note)
        first = SessionUse(source.name, key.component, key.variant, key.device, placement.asked, placement.note)
        tells = not key.device.fixed and not self._cache.has(key)  # where sizes must be fixed, the call loads
        if tells:
            self.tell("loading", first)
        entry, seconds = self._cache._take(source, key, self._cancel, key in self._held)
        self._held[key] = entry
        use = self._uses.setdefault(named, first)
        facts = entry.graph.facts if entry.graph is not None else NO_FACTS
        self._uses[named] = use = replace(use, load_seconds=use.load_seconds + seconds, facts=facts)
        if tells and seconds:
            self.tell("ready", use)
        return named

    def give_back(self, key: SessionKey) -> None:
        """Give one session back; it is closed unless another run holds it."""
        if key in self._held:
            self._cache._give_back(key, self._held.pop(key), unwanted=True)

    def call(self, named: UseKey, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """All outputs of a session that was taken, counted in the report when it gave any; the errors of running it,
        and where sizes must be fixed of loading it."""
        entry = self._held.get(named[0])
        assert entry is not None and entry.graph is not None, "a session was used after it was given back"
        graph = entry.graph
        self._prepare(named, graph, feeds)
        started = time.perf_counter()
        outputs = graph.run(feeds, self._cancel)
        seconds = time.perf_counter() - started
        use = self._uses[named]
        # What a graph says of itself is complete after its first call.
        facts = graph.facts if not use.calls or use.place.fixed else use.facts
        use = replace(use, calls=use.calls + 1, run_seconds=use.run_seconds + seconds, facts=facts)
        self._uses[named] = use
        if use.calls == 1:
            self.tell("first", use)
        return outputs

    def _prepare(self, named: UseKey, graph: LoadedGraph, feeds: Feeds) -> None:
        """Load the graph for the sizes of these feeds, where it is not."""
        if not named[0].device.fixed or graph.ready(feeds):
            return
        self.tell("loading", self._uses[named])
        started = time.perf_counter()
        graph.prepare(feeds, self._cancel)
        use = self._uses[named]
        seconds = use.load_seconds + time.perf_counter() - started
        self._uses[named] = use = replace(use, load_seconds=seconds, facts=graph.facts)
        self.tell("ready", use)

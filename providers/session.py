"""Keeping ONNX Runtime sessions: the one place where a component's graph is loaded.

A session is identified by what it computes and how: the model's identity, the component, the variant, the device, and
whether others may help it. Asked for twice, it is built once. Runs hold sessions through a lease, so that one run
cannot close what another still uses, and so that each run's report says what that run did.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import MemoryLimitError, NumbersError, OnnxflowError, ProviderError
from onnxflow.models.graph_header import read_header
from onnxflow.providers.catalog import title_of
from onnxflow.providers.compiled import compiled_folder
from onnxflow.providers.device import CPU, Device
from onnxflow.providers.foreign import NamedGraph, translated
from onnxflow.providers.graph import NO_FACTS, Facts, LoadedGraph, OrtGraph, SizedGraph
from onnxflow.providers.numbers import bad_share
from onnxflow.providers.placement import Placement
from onnxflow.providers.target import Target

if TYPE_CHECKING:
    from onnxflow.values import Feeds, Session

OWN: Final = "onnxflow"
"""The interface of graphs that need no translation."""

FP32: Final = "fp32"
FAIL: Final = "error"
UPCAST: Final = "upcast"
ON_NAN: Final = (FAIL, UPCAST)
"""What to do about NaN and infinity: say so and end, or compute that component again in fp32 from there on."""


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

    def variants(self, component: str) -> tuple[str, ...]:
        """The variants a component has, the default first."""
        ...


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What makes two sessions the same."""

    identity: str
    component: str
    variant: str
    device: Device = CPU
    fallback: bool = False
    split: bool = False


@dataclass(frozen=True, slots=True)
class SessionUse:
    """What a session did during one run: where it was placed, what was asked for and by whom, the seconds its loading
    took (0 when it was open), its calls, and what the graph says of itself. ``note`` says why it is not as asked."""

    model: str
    component: str
    variant: str
    place: Device
    asked: str = "auto"
    note: str = ""
    load_seconds: float = 0.0
    calls: int = 0
    run_seconds: float = 0.0
    facts: Facts = NO_FACTS

    @property
    def device(self) -> str:
        """Where its network ran in truth: its place; its place and others, if it left heavy nodes to them ("cuda:0 +
        cpu"); only others, if it took nothing."""
        took, ep = self.facts.nodes, self.place.facts.ep
        others = [title_of(other) for other in took if other != ep]
        if not took or (ep in took and not self.facts.elsewhere):
            return str(self.place)
        return " + ".join([str(self.place), *others] if ep in took else others)


_UseKey = tuple[SessionKey, str, str]
"""A session, what was asked for, and why it is not that."""

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
        self._on_nan = on_nan
        self.tell: Callable[[str, SessionUse], None] = lambda phase, use: None
        """Called with "loading", "ready" or "first", and what is known of the session then."""
        self._held: dict[SessionKey, _Entry] = {}
        self._uses: dict[_UseKey, SessionUse] = {}

    def get(
        self,
        source: ModelSource,
        component: str,
        placement: Placement,
        when: Callable[[], str] = lambda: "",
    ) -> Session:
        """The open session of a component where it was placed, loading it on first use; ``when`` says in messages how
        far its node has come."""
        bound = _BoundSession(self, source, component, placement, when)
        bound.open()
        return bound

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

    def _open(self, source: ModelSource, key: SessionKey, placement: Placement) -> tuple[_Entry, _UseKey]:
        """The entry of a key, taken once for this run and noted in its report, by what was asked for: what one node
        wished for is to another one a fallback."""
        named = (key, placement.asked, placement.note)
        first = SessionUse(source.name, key.component, key.variant, key.device, placement.asked, placement.note)
        if not self._cache.has(key):
            self.tell("loading", first)
        entry, seconds = self._cache._take(source, key, self._cancel, key in self._held)
        self._held[key] = entry
        use = self._uses.setdefault(named, first)
        facts = entry.graph.facts if entry.graph is not None else NO_FACTS
        self._uses[named] = use = replace(use, load_seconds=use.load_seconds + seconds, facts=facts)
        if seconds:
            self.tell("ready", use)
        return entry, named

    def _run(self, named: _UseKey, entry: _Entry, feeds: Feeds) -> dict[str, NDArray[Any]]:
        graph = entry.graph
        assert graph is not None, "a session was used after it was given back"
        started = time.perf_counter()
        try:
            outputs = graph.run(feeds, self._cancel)
        finally:
            use = self._uses[named]
            seconds = time.perf_counter() - started
            # What a graph says of itself is complete after its first call.
            facts = graph.facts if not use.calls else use.facts
            self._uses[named] = use = replace(
                use, calls=use.calls + 1, run_seconds=use.run_seconds + seconds, facts=facts
            )
        if use.calls == 1:
            self.tell("first", use)
        return outputs


class _BoundSession:
    """A session as one node sees it: stopped by its run's token, counted in its report, its numbers checked."""

    __slots__ = ("_component", "_entry", "_key", "_lease", "_named", "_placement", "_source", "_when")

    def __init__(
        self, lease: SessionLease, source: ModelSource, component: str, placement: Placement, when: Callable[[], str]
    ) -> None:
        self._lease = lease
        self._source = source
        self._component = component
        self._placement = placement
        self._when = when

    def open(self) -> None:
        """Load the graph, on the CPU when its device fails and that is allowed."""
        try:
            self._take(self._placement)
        except (ProviderError, MemoryLimitError) as error:
            self._fall_back(error)

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """All outputs; NumbersError when one holds NaN or infinity, unless fp32 gives numbers and that may be tried."""
        outputs = self._computed(feeds)
        bad = bad_share(outputs)
        if not bad:
            return outputs
        key = self._key
        if self._lease._on_nan == UPCAST and key.variant != FP32 and FP32 in self._source.variants(self._component):
            device = key.device if FP32 in key.device.facts.precisions else CPU
            note = f"{key.variant} gave NaN or infinity{self._said_when()}: fp32 from there on"
            self._placement = replace(self._placement, device=device, variant=FP32, note=note)
            self.open()
            outputs = self._computed(feeds)
            bad = bad_share(outputs)
            if not bad:
                return outputs
        raise self._error(bad)

    def close(self) -> None:
        """Nothing: the lease gives the session back."""

    def _computed(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """The outputs, the CPU's when the device fails and that is allowed: a device that needs fixed sizes shows at
        the first call only whether it takes the graph."""
        try:
            return self._lease._run(self._named, self._entry, feeds)
        except (ProviderError, MemoryLimitError) as error:
            self._fall_back(error)
        return self._lease._run(self._named, self._entry, feeds)

    def _fall_back(self, error: OnnxflowError) -> None:
        """Load the graph on the CPU; the error itself where that is not allowed, or would not help."""
        placed = self._placement
        same_memory = isinstance(error, MemoryLimitError) and not placed.device.facts.memory
        if placed.device == CPU or same_memory or not (placed.fallback or placed.retreat):
            raise error
        slow = placed.variant == "fp16" and FP32 in self._source.variants(self._component)
        note = "; ".join(part for part in (placed.note, error.message) if part)
        variant = FP32 if slow else placed.variant
        self._placement = replace(placed, device=CPU, variant=variant, note=note, split=False)
        self._take(self._placement)

    def _take(self, placement: Placement) -> None:
        self._key = SessionKey(
            self._source.identity,
            self._component,
            placement.variant,
            placement.device,
            placement.fallback,
            placement.split,
        )
        self._entry, self._named = self._lease._open(self._source, self._key, placement)

    def _said_when(self) -> str:
        when = self._when()
        return f" {when}" if when else ""

    def _error(self, bad: Mapping[str, float]) -> NumbersError:
        key = self._key
        shares = ", ".join(
            f"{share:.0%} of {name}" if share >= 0.005 else f"a few of {name}" for name, share in bad.items()
        )
        if key.variant == FP32:
            hint = "the model's weights may be damaged, or the device compute wrong: onnxflow verify tells"
        elif FP32 in self._source.variants(self._component):
            hint = f"--on-nan upcast repeats it in fp32, or take the model's fp32 variant (it ran in {key.variant})"
        else:
            hint = f"{key.variant} overflows like this: export the model again in fp32"
        return NumbersError(
            f"the {self._component} of {self._source.name} ({key.variant}, {key.device}) gave NaN or infinity"
            f"{self._said_when()}: {shares}",
            hint=hint,
        )

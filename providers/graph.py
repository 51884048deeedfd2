"""One component's graph in ONNX Runtime: loading it, running it, and saying what went wrong."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled, InputError, ModelError
from onnxflow.memory import give_back_memory
from onnxflow.models.graph_file import GraphFile
from onnxflow.providers.assignment import Assignment
from onnxflow.providers.failure import running_error
from onnxflow.providers.loading import LOW
from onnxflow.providers.opening import Opened, open_session
from onnxflow.providers.profile import drop_profile, profile_files, read_profile
from onnxflow.providers.resident import Resident
from onnxflow.providers.runtime import log_severity, onnxruntime
from onnxflow.providers.target import ON_CPU, Target

if TYPE_CHECKING:
    from onnxflow.values import Feeds

_T = TypeVar("_T")

MOST_SIZES: Final = 2
"""How many sizes of one graph stay open on a device that needs fixed ones."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a loaded graph says of itself: nodes by execution provider, heavy operators that the asked device left to
    others, seconds to load, to optimise and compile, and for the first call; shares of that call's time by provider,
    empty where that was not measured."""

    nodes: Mapping[str, int] = field(default_factory=dict)
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    load_seconds: float = 0.0
    build_seconds: float = 0.0
    first_seconds: float = 0.0
    time_shares: Mapping[str, float] = field(default_factory=dict)


NO_FACTS: Final = Facts()


class LoadedGraph(Protocol):
    """A graph in memory: the boundary that a fake replaces in tests."""

    @property
    def facts(self) -> Facts:
        """Where it runs, and what it took to get there."""
        ...

    def ready(self, feeds: Feeds) -> bool:
        """Whether a run with these feeds loads nothing first."""
        ...

    def prepare(self, feeds: Feeds, cancel: CancelToken) -> None:
        """Load what a run with these feeds would load first; the errors of loading."""
        ...

    def run(self, feeds: Feeds, cancel: CancelToken) -> dict[str, NDArray[Any]]:
        """All outputs by name; Cancelled when ``cancel`` is thrown meanwhile."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


class OrtGraph:
    """A graph loaded into ONNX Runtime on one device."""

    def __init__(
        self,
        file: GraphFile,
        name: str,
        cancel: CancelToken,
        target: Target = ON_CPU,
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        """Load ``file``, called ``name`` in messages, with ``sizes`` of named dimensions fixed; the errors of
        ``open_session``."""
        self._name = name
        self._device = target.device
        opened: Opened = open_session(file, name, target, cancel, sizes)
        self._session: Any = opened.session
        self._sparing = target.loading == LOW
        self._assignment: Assignment = opened.assignment
        self._seconds = (opened.load_seconds, opened.build_seconds)
        self._first_seconds = 0.0
        self._shares: Mapping[str, float] = {}
        self._profile = opened.profile
        self._lock = threading.Lock()
        weakref.finalize(self, drop_profile, opened.profile)  # of a graph that never ran
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._inputs = {i.name: (list(i.shape), _NUMPY_TYPES.get(i.type)) for i in self._session.get_inputs()}
        self._resident = Resident.of(self._session, target.device) if target.device.facts.memory else None

    @property
    def inputs(self) -> Mapping[str, tuple[Any, ...]]:
        """The shape of every input: sizes, and names or None for free ones."""
        return {name: tuple(shape) for name, (shape, _) in self._inputs.items()}

    @property
    def outputs(self) -> tuple[str, ...]:
        """The outputs' names."""
        return tuple(self._outputs)

    @property
    def facts(self) -> Facts:
        """Where it runs, and what it took to get there."""
        elsewhere = self._assignment.elsewhere(self._device.facts.ep)
        return Facts(self._assignment.nodes, elsewhere, *self._seconds, self._first_seconds, self._shares)

    def ready(self, feeds: Feeds) -> bool:
        """It is loaded."""
        return True

    def prepare(self, feeds: Feeds, cancel: CancelToken) -> None:
        """It is loaded."""

    def run(self, feeds: Feeds, cancel: CancelToken) -> dict[str, NDArray[Any]]:
        """All outputs by name; MemoryLimitError, ProviderError, ModelError, InputError or Cancelled."""
        cancel.check()
        typed = self._typed(feeds)
        options = onnxruntime().RunOptions()
        options.log_severity_level = log_severity()
        started = time.perf_counter()
        try:
            with cancel.calling(_terminator(options)):
                if self._resident is not None:
                    found = self._resident.run(typed, feeds, self._outputs, options)
                else:
                    found = self._session.run(self._outputs, typed, options)
        except Exception as error:
            if cancel.cancelled:
                raise Cancelled() from None
            raise running_error(error, self._name, self._device) from error
        if self._sparing:
            give_back_memory()
        seconds = time.perf_counter() - started
        with self._lock:  # several runs may be the first
            if not self._first_seconds:
                self._first_seconds = seconds
                self._end_profile()
        return dict(zip(self._outputs, found, strict=True))

    def close(self) -> None:
        """Give the memory back."""
        with self._lock:
            if self._session is not None:
                self._end_profile()
            self._session = None
        self._resident = None
        give_back_memory()

    def _end_profile(self) -> None:
        """Stop the profiler and take what it wrote, once."""
        prefix, self._profile = self._profile, ""
        if not prefix:
            return
        with contextlib.suppress(Exception):  # measuring must not end a run
            self._session.end_profiling()
        for path in profile_files(prefix):
            found = read_profile(path)
            self._shares = found.shares
            if found.build_seconds:
                self._seconds = (sum(self._seconds) - found.build_seconds, found.build_seconds)
        drop_profile(prefix)

    def _typed(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """The feeds in the graph's types; ModelError for other names, InputError for shapes it cannot take."""
        if feeds.keys() != self._inputs.keys():
            missing = sorted(self._inputs.keys() - feeds.keys())
            unknown = sorted(feeds.keys() - self._inputs.keys())
            parts = [f"it also needs {', '.join(missing)}"] if missing else []
            parts += [f"it does not know {', '.join(unknown)}"] if unknown else []
            raise ModelError(
                f"the graph of {self._name} is not what its manifest says: {' and '.join(parts)}",
                hint="export the model again",
            )
        typed = {}
        for name, value in feeds.items():
            shape, kind = self._inputs[name]
            array = np.asarray(value, dtype=kind)
            fits = len(shape) == array.ndim and all(
                not isinstance(size, int) or size == given for size, given in zip(shape, array.shape, strict=True)
            )
            if not fits:
                raise InputError(
                    f"{self._name} takes {name} of shape {shape}, it was given {list(array.shape)}",
                    hint="connect nodes of one and the same model, or export the model again",
                )
            typed[name] = array
        return typed


class _Size:
    """A graph of one size, or the place of one that is being loaded: ``loading`` is held meanwhile."""

    __slots__ = ("graph", "loading", "users")

    def __init__(self) -> None:
        self.loading = threading.Lock()
        self.graph: OrtGraph | None = None
        self.users = 0


class SizedGraph:
    """A graph on a device that needs fixed sizes: loaded when the first feeds of a size come, MOST_SIZES at a time, or
    as many as are running. The one that was used longest ago makes room.

    Its inputs and outputs are those that the file declares.
    """

    def __init__(
        self,
        load: Callable[[Mapping[str, int], CancelToken], OrtGraph],
        inputs: Mapping[str, tuple[Any, ...]],
        outputs: tuple[str, ...],
    ) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._open: dict[tuple[tuple[str, int], ...], _Size] = {}  # the one used last stands last
        self._last: OrtGraph | None = None
        self.inputs = inputs
        self.outputs = outputs

    @property
    def facts(self) -> Facts:
        """Those of the size that ran last."""
        return self._last.facts if self._last is not None else NO_FACTS

    def ready(self, feeds: Feeds) -> bool:
        """Whether the size of these feeds is loaded."""
        with self._lock:
            entry = self._open.get(self._sizes(feeds))
            return entry is not None and entry.graph is not None

    def prepare(self, feeds: Feeds, cancel: CancelToken) -> None:
        """Load the size of these feeds; the errors of loading."""
        self._with(feeds, cancel, lambda graph: None)

    def run(self, feeds: Feeds, cancel: CancelToken) -> dict[str, NDArray[Any]]:
        """All outputs by name; the errors of loading and of running."""
        return self._with(feeds, cancel, lambda graph: graph.run(feeds, cancel))

    def _with(self, feeds: Feeds, cancel: CancelToken, use: Callable[[OrtGraph], _T]) -> _T:
        """What ``use`` makes of the graph of the feeds' size, which nobody closes meanwhile."""
        sizes = self._sizes(feeds)
        with self._lock:
            entry = self._open.pop(sizes) if sizes in self._open else _Size()
            self._open[sizes] = entry
            entry.users += 1
            self._make_room()
        try:
            with entry.loading:  # another size runs or loads meanwhile; this one is loaded once
                if entry.graph is None:
                    entry.graph = self._load(dict(sizes), cancel)
            self._last = entry.graph
            return use(entry.graph)
        finally:
            with self._lock:
                entry.users -= 1
                if entry.graph is None and not entry.users:
                    self._open.pop(sizes, None)

    def _make_room(self) -> None:
        """Close the sizes that are too many and not running; the lock is held."""
        for sizes in [sizes for sizes, entry in self._open.items() if not entry.users]:
            if len(self._open) > MOST_SIZES:
                _close(self._open.pop(sizes))

    def close(self) -> None:
        """Give the memory back."""
        with self._lock:
            for entry in self._open.values():
                _close(entry)
            self._open.clear()

    def _sizes(self, feeds: Feeds) -> tuple[tuple[str, int], ...]:
        """The size of every named dimension, as the feeds have it."""
        found: dict[str, int] = {}
        for name, shape in self.inputs.items():
            given = np.shape(feeds[name]) if name in feeds else ()
            if len(given) == len(shape):
                found.update(
                    {dim: size for dim, size in zip(shape, given, strict=True) if isinstance(dim, str) and dim}
                )
        return tuple(sorted(found.items()))


def _close(entry: _Size) -> None:
    if entry.graph is not None:
        entry.graph.close()


def _terminator(options: Any) -> Callable[[], None]:
    def terminate() -> None:
        options.terminate = True

    return terminate


_NUMPY_TYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}

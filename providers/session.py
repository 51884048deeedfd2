"""Building and keeping ONNX Runtime sessions: the one place where a component's graph is loaded.

A session is identified by what it computes and how: the model's identity, the component, the variant, the device and
the options. Asked for twice, it is built once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import Cancelled, MemoryLimitError, ModelError, OnnxflowError, ProviderError

if TYPE_CHECKING:
    from onnxflow.values import Feeds, Session

CPU = "cpu"
DEFAULT_VARIANT = "fp32"


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


@dataclass(frozen=True, slots=True)
class SessionKey:
    """What makes two sessions the same."""

    identity: str
    component: str
    variant: str
    device: str
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SessionUse:
    """What a session did, for the report: who ran, where, how long loading took, how often and how long it ran."""

    model: str
    component: str
    variant: str
    device: str
    load_seconds: float
    calls: int
    run_seconds: float


class LoadedGraph(Protocol):
    """A graph in memory: the boundary that a fake replaces in tests."""

    def run(self, feeds: Feeds, cancel: CancelToken) -> dict[str, NDArray[Any]]:
        """All outputs by name."""
        ...

    def close(self) -> None:
        """Give the memory back."""
        ...


Loader = Callable[[ModelSource, SessionKey], LoadedGraph]


class OrtGraph:
    """A graph loaded into ONNX Runtime on the CPU."""

    def __init__(self, source: ModelSource, key: SessionKey) -> None:
        """Load the graph of ``key`` from ``source``; ModelError when damaged, MemoryLimitError when too big."""
        import onnxruntime

        self._name = f"{source.name}: {key.component} ({key.variant}, {key.device})"
        self._file = source.graph(key.component, key.variant)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(self._file), sess_options=options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's errors share no base class
            raise _loading_error(error, self._name, self._file) from error
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._types = {i.name: _NUMPY_TYPES.get(i.type, np.float32) for i in self._session.get_inputs()}

    def run(self, feeds: Feeds, cancel: CancelToken) -> dict[str, NDArray[Any]]:
        import onnxruntime

        cancel.check()
        options = onnxruntime.RunOptions()

        def terminate() -> None:
            options.terminate = True

        typed = {name: np.asarray(value, dtype=self._types.get(name)) for name, value in feeds.items()}
        try:
            with cancel.calling(terminate):
                found = self._session.run(self._outputs, typed, options)
        except Exception as error:
            if cancel.cancelled:
                raise Cancelled() from None
            raise _running_error(error, self._name) from error
        return dict(zip(self._outputs, found, strict=True))

    def close(self) -> None:
        self._session = None


_NUMPY_TYPES: Mapping[str, type[np.generic]] = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def _out_of_memory(text: str) -> bool:
    return "Failed to allocate memory" in text or "bfc_arena" in text or "bad_alloc" in text


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__


def _loading_error(error: Exception, name: str, file: Path) -> OnnxflowError:
    if isinstance(error, MemoryError) or _out_of_memory(str(error)):
        return MemoryLimitError(
            f"not enough memory to load {name}", where=str(file), hint="close other programs, or use a smaller model"
        )
    return ModelError(
        f"cannot load {name}: {_first_line(error)}",
        where=str(file),
        hint="the file may be truncated or made for a newer ONNX Runtime: copy it again, or export the model again",
    )


def _running_error(error: Exception, name: str) -> OnnxflowError:
    if isinstance(error, MemoryError) or _out_of_memory(str(error)):
        return MemoryLimitError(f"not enough memory to run {name}", hint="use a smaller picture or a smaller batch")
    return ProviderError(f"{name} failed: {_first_line(error)}")


class _Entry:
    """A session in the cache, with what it did so far."""

    __slots__ = ("calls", "graph", "key", "load_seconds", "model", "run_seconds")

    def __init__(self, model: str, key: SessionKey, graph: LoadedGraph, load_seconds: float) -> None:
        self.model = model
        self.key = key
        self.graph = graph
        self.load_seconds = load_seconds
        self.calls = 0
        self.run_seconds = 0.0

    def use(self) -> SessionUse:
        key = self.key
        return SessionUse(
            self.model, key.component, key.variant, key.device, self.load_seconds, self.calls, self.run_seconds
        )


class _BoundSession:
    """A cached session as one run sees it: stopped by that run's token, timed for its report."""

    __slots__ = ("_cancel", "_entry")

    def __init__(self, entry: _Entry, cancel: CancelToken) -> None:
        self._entry = entry
        self._cancel = cancel

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        started = time.perf_counter()
        try:
            return self._entry.graph.run(feeds, self._cancel)
        finally:
            self._entry.calls += 1
            self._entry.run_seconds += time.perf_counter() - started

    def close(self) -> None:
        """Nothing: the cache that opened the session closes it."""


class SessionCache:
    """Open sessions by key. Thread-safe; a session is built at most once."""

    def __init__(self, load: Loader = OrtGraph, device: str = CPU, variant: str = DEFAULT_VARIANT) -> None:
        self._load = load
        self._device = device
        self._variant = variant
        self._entries: dict[SessionKey, _Entry] = {}
        self._closed: list[SessionUse] = []
        self._lock = threading.RLock()

    def get(self, source: ModelSource, component: str, cancel: CancelToken) -> Session:
        """The open session of a component, loading it on first use."""
        key = SessionKey(source.identity, component, self._variant, self._device)
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                started = time.perf_counter()
                graph = self._load(source, key)
                entry = self._entries[key] = _Entry(source.name, key, graph, time.perf_counter() - started)
        return _BoundSession(entry, cancel)

    def release(self, identity: str, components: Iterable[str]) -> None:
        """Close the sessions of a model's components, if open, and give their memory back."""
        names = set(components)
        with self._lock:
            for key in [k for k in self._entries if k.identity == identity and k.component in names]:
                self._close(key)

    def close(self) -> None:
        """Close every session."""
        with self._lock:
            for key in list(self._entries):
                self._close(key)

    def uses(self) -> tuple[SessionUse, ...]:
        """What every session did since the cache was made, in the order they were closed, then opened."""
        with self._lock:
            return (*self._closed, *(entry.use() for entry in self._entries.values()))

    def _close(self, key: SessionKey) -> None:
        entry = self._entries.pop(key)
        self._closed.append(entry.use())
        entry.graph.close()

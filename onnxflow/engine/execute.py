"""Running a plan: plain function calls in order, values dropped after their last reader, sessions closed with them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onnxflow.cancel import CancelToken
from onnxflow.engine.cache import Result, ResultCache
from onnxflow.engine.events import Event, Listener
from onnxflow.engine.invoke import invoke
from onnxflow.engine.plan import Plan, Step
from onnxflow.errors import MemoryLimitError, NodeError, NodeRef, OnnxflowError
from onnxflow.models.disk import Disk
from onnxflow.providers.session import SessionCache
from onnxflow.values import HANDLES, Handle, SavedFile, Session
from onnxflow.workflow.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Run:
    """What one execution works with."""

    run_id: str
    workflow: Workflow
    disk: Disk
    sessions: SessionCache
    cancel: CancelToken
    cache: ResultCache | None = None
    listeners: Sequence[Listener] = ()
    metadata: bool = True

    def emit(self, type_: str, data: Mapping[str, Any], preview: Callable[[], Any] | None = None) -> None:
        """Tell every listener."""
        event = Event(type_, {**data, "prompt_id": self.run_id}, preview)
        for listener in self.listeners:
            listener(event)


class NodeContext:
    """The engine as one node sees it (nodes.context.Context)."""

    __slots__ = ("_run", "node")

    def __init__(self, run: Run, node: NodeRef) -> None:
        self._run = run
        self.node = node

    @property
    def disk(self) -> Disk:
        return self._run.disk

    @property
    def metadata(self) -> bool:
        return self._run.metadata

    def session(self, handle: Handle, component: str) -> Session:
        return self._run.sessions.get(handle.source, component, self._run.cancel)

    def progress(self, value: int, total: int, preview: Callable[[], Any] | None = None) -> None:
        if self._run.listeners:
            self._run.emit("progress", {"value": value, "max": total, "node": self.node.id}, preview)
        self._run.cancel.check()

    def check_cancelled(self) -> None:
        self._run.cancel.check()


@dataclass(frozen=True, slots=True)
class Executed:
    """What running a plan gave."""

    saved: tuple[SavedFile, ...]
    node_seconds: Mapping[int, float]


def execute(plan: Plan, run: Run) -> Executed:
    """Run every needed step of ``plan``.

    Raises the first error, naming its node; results finished before it stay in the cache, so that the next run resumes.
    """
    values: list[list[Any] | None] = [None] * len(plan.readers)
    readers = list(plan.readers)
    handles: Counter[tuple[str, tuple[str, ...]]] = Counter()
    saved: list[SavedFile] = []
    seconds: dict[int, float] = {}
    shows = bool(run.listeners)
    kept: dict[int, Result] = {}  # of output nodes, for their twins

    def store(step: Step, result: Result) -> None:
        for place, output in enumerate(result.outputs, step.first):
            if readers[place] or run.cache is not None:
                values[place] = output
                for value in output:
                    if isinstance(value, HANDLES):
                        handles[_components(value)] += 1

    def drop(place: int) -> None:
        dropped = values[place]
        values[place] = None
        for value in dropped or ():
            if isinstance(value, HANDLES):
                handles[_components(value)] -= 1
                if not handles[_components(value)]:
                    run.sessions.release(*_components(value))

    def read(place: int) -> list[Any]:
        found = values[place]
        assert found is not None, "a value was dropped before its last reader"
        return found

    for position, step in enumerate(plan.steps):
        if not step.needed:
            continue
        run.cancel.check()
        node = step.call.node
        known = run.cache.get(step.key) if step.cached and run.cache is not None else None
        if known is not None:
            store(step, known)
            kept[position] = known
            _announce(run, step, known)
            continue
        if step.twin >= 0:
            if step.twin in kept:
                _announce(run, step, kept[step.twin])
            twin = plan.steps[step.twin]
            for slot in range(len(step.call.spec.outputs)):
                values[step.first + slot] = read(twin.first + slot)
                for value in read(twin.first + slot):
                    if isinstance(value, HANDLES):
                        handles[_components(value)] += 1
                _done_reading(twin.first + slot, readers, drop, run)
            continue
        if shows:
            run.emit("executing", {"node": node.id, "display_node": node.id})
        started = time.perf_counter()
        linked = {name: read(place) for name, place in step.links}
        result = _invoke(step, run, linked)
        del linked
        seconds[position] = time.perf_counter() - started
        saved += result.saved
        if run.cache is not None:
            run.cache.put(step.key, result)
        store(step, result)
        if step.call.spec.output_node:
            kept[position] = result
            _announce(run, step, result)
        for _, place in step.links:
            _done_reading(place, readers, drop, run)
    return Executed(tuple(saved), seconds)


def _done_reading(place: int, readers: list[int], drop: Callable[[int], None], run: Run) -> None:
    readers[place] -= 1
    if not readers[place] and run.cache is None:
        drop(place)


def _components(handle: Handle) -> tuple[str, tuple[str, ...]]:
    return handle.source.identity, handle.COMPONENTS


def _announce(run: Run, step: Step, result: Result) -> None:
    if run.listeners and step.call.spec.output_node:
        node = step.call.node.id
        run.emit("executed", {"node": node, "display_node": node, "output": dict(result.ui)})


def _invoke(step: Step, run: Run, linked: Mapping[str, list[Any]]) -> Result:
    call = step.call
    literals = call.literals
    if call.spec.hidden:
        literals = {**literals, **{name: _hidden(kind, call.node.id, run) for name, kind in call.spec.hidden.items()}}
    context = NodeContext(run, call.node.ref) if call.spec.wants_context else None
    try:
        return invoke(call.spec, context, literals, linked)
    except OnnxflowError as error:
        raise error.at(call.node.ref) from error.__cause__
    except MemoryError:
        raise MemoryLimitError("not enough memory", hint="use a smaller picture or a smaller batch").at(
            call.node.ref
        ) from None
    except Exception as error:
        raise NodeError(
            f"{call.node.class_type} failed: {type(error).__name__}: {error}",
            hint="this is a defect of the node: run with -v and report what it prints",
            node=call.node.ref,
        ) from error


def _hidden(kind: str, node_id: str, run: Run) -> Any:
    if kind == "PROMPT":
        return run.workflow.document
    if kind == "EXTRA_PNGINFO":
        return run.workflow.extra
    return node_id if kind == "UNIQUE_ID" else None

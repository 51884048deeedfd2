"""Running a plan: plain function calls in order, values dropped after their last reader, sessions closed with them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from onnxflow.cancel import CancelToken
from onnxflow.engine.cache import Result, ResultCache
from onnxflow.engine.events import Event, Listener, ListenerFailed
from onnxflow.engine.invoke import invoke
from onnxflow.engine.places import Places, run_by
from onnxflow.engine.plan import NOWHERE, Plan, Step
from onnxflow.engine.preflight import Preflight
from onnxflow.engine.record import record
from onnxflow.engine.uses import Uses, not_among, recalled, since
from onnxflow.engine.watch import Watch, Watched
from onnxflow.errors import MemoryLimitError, NodeError, NodeRef, OnnxflowError
from onnxflow.models.disk import Disk
from onnxflow.models.source import Source
from onnxflow.providers.device import CPU
from onnxflow.providers.machine import OnlyCpu
from onnxflow.providers.placement import Placer
from onnxflow.providers.session import SessionLease
from onnxflow.values import Handle, SavedFile, SeedRule, Session, handle_of
from onnxflow.workflow.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Run:
    """What one execution works with.

    ``volatile`` names the nodes that the caller will run again with other values: their results are not kept in
    ``cache``, and the sessions they use stay open.
    """

    run_id: str
    workflow: Workflow
    disk: Disk
    sessions: SessionLease
    cancel: CancelToken
    cache: ResultCache | None = None
    listeners: Sequence[Listener] = ()
    metadata: bool = True
    volatile: frozenset[str] = frozenset()
    places: Places = NOWHERE
    placer: Placer = field(default_factory=lambda: Placer(OnlyCpu()))
    seed_rule: SeedRule = "next"
    watch: Watch | None = None

    def emit(
        self,
        type_: str,
        data: Mapping[str, Any],
        preview: Callable[[], Any] | None = None,
        saved: tuple[SavedFile, ...] = (),
    ) -> None:
        """Tell every listener; ListenerFailed when one of them raises."""
        event = Event(type_, {**data, "prompt_id": self.run_id}, preview, saved)
        for listener in self.listeners:
            try:
                listener(event)
            except Exception as error:
                raise ListenerFailed(error) from error


NEXT: Final = {"text_encoder": "unet", "text_encoder_2": "unet", "unet": "vae_decoder", "vae_encoder": "unet"}
"""The component that mostly runs after one."""

ROOM: Final = 1_000_000_000
"""Bytes that stay free when weights are read ahead."""


class NodeContext:
    """The engine as one node sees it (nodes.context.Context)."""

    __slots__ = ("_before", "_on_cpu", "_outcome", "_reached", "_run", "_usual", "node")

    def __init__(self, run: Run, node: NodeRef, outcome: Outcome) -> None:
        self._run = run
        self._outcome = outcome
        self._reached = (0, 0)
        self._before: Uses | None = None  # before its first session
        self._usual: set[str] = set()
        self._on_cpu = True
        self.node = node

    @property
    def disk(self) -> Disk:
        return self._run.disk

    @property
    def metadata(self) -> bool:
        return self._run.metadata

    @property
    def record(self) -> Mapping[str, Any]:
        uses = self._run.sessions.uses()
        found = record([*uses, *not_among(self._outcome.recalled, uses)])
        # The rule that is not today's is part of what the picture is made with.
        return {**found, "seed_rule": self.seed_rule} if found and self.seed_rule != "next" else found

    @property
    def seed_rule(self) -> SeedRule:
        return self._run.seed_rule

    def session(self, handle: Handle, component: str, calls: int = 1) -> Session:
        wish = self._run.places.of(self.node.id, component)
        placement = self._run.placer.place(wish, handle.source, component, calls)
        self._on_cpu = placement.device == CPU
        if placement.device == CPU and wish.device in (None, CPU):
            self._usual.add(placement.note)  # it will be placed so the next time
        if self._before is None:
            self._before = self._run.sessions.uses()
        session = self._run.sessions.get(handle.source, component, placement, self._when)
        if placement.device == CPU:
            self._prepare(handle.source, component)
        return session

    def _prepare(self, source: Source, component: str) -> None:
        """While this component runs, have the weights read that will be wanted next, if there is room for them."""
        following = NEXT.get(component, "")
        if following not in self._outcome.wanted or following not in source.manifest.components:
            return
        free = self._run.placer.free_memory()
        if free is not None and source.weight_bytes(following, source.variant_of(following)) + ROOM <= free:
            source.read_ahead(following)

    def free_memory(self) -> int | None:
        return self._run.placer.free_memory() if self._on_cpu else None

    def remark(self, text: str) -> None:
        self._outcome.remarks[f"{self.node}: {text}"] = None

    def uses(self) -> Uses:
        """What sessions have done for this node."""
        return since(self._before, self._run.sessions.uses()) if self._before is not None else ()

    def fell_back(self, uses: Uses) -> bool:
        """Whether one of the node's ``uses`` is not as it was placed: the next run may find the device mended."""
        return any(use.note and use.note not in self._usual for use in uses)

    def _when(self) -> str:
        """How far the node has come, for messages."""
        done, total = self._reached
        return f"at step {done + 1} of {total}" if total > 1 and done < total else ""

    def begin(self, total: int) -> None:
        self._reached = (0, total)

    def progress(self, value: int, total: int, preview: Callable[[], Any] | None = None) -> None:
        self._reached = (value, total)
        if self._run.listeners:
            self._run.emit("progress", {"value": value, "max": total, "node": self.node.id}, preview)
        self._run.cancel.check()

    def check_cancelled(self) -> None:
        self._run.cancel.check()


@dataclass(slots=True)
class Outcome:
    """What a run has done so far, filled while it goes on so that an error can say how far it came; ``recalled`` is
    what sessions did in earlier runs for the results that this one found, ``looked`` the files of a look at
    results, ``remarks`` what is to be said of the models, each once, ``wanted`` the
    components that the plan runs."""

    saved: list[SavedFile] = field(default_factory=list)
    node_seconds: dict[int, float] = field(default_factory=dict)
    node_uses: dict[int, Uses] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    recalled: Uses = ()
    looked: list[Path] = field(default_factory=list)
    remarks: dict[str, None] = field(default_factory=dict)
    wanted: frozenset[str] = frozenset()


def execute(plan: Plan, run: Run, outcome: Outcome) -> None:
    """Run every needed step of ``plan``, writing what is done into ``outcome``.

    Raises the first error, naming its node; results finished before it stay in the cache, so that the next run resumes.
    What a session gave that fell back to another device is not kept there, nor what was made of it.
    """
    outcome.recalled = recalled(plan, run.cache)
    calls = [step.call for step in plan.steps if step.needed and not step.cached]
    outcome.wanted = frozenset(name for call in calls for _, names in run_by(call.spec) for name in names)
    values = _Values(plan, run)
    preflight = Preflight(plan, run.places, run.placer, run.sessions)
    watched = Watched(plan, run.watch, run.cache) if run.watch is not None else None
    shown: dict[int, Result] = {}  # of output nodes, for their twins
    fallen: set[int] = set()  # places of values that a session made which fell back
    for position in preflight.order(plan):
        step = plan.steps[position]
        if not step.needed:
            continue
        run.cancel.check()
        node = step.call.node
        known = run.cache.get(step.key) if step.cached and run.cache is not None else None
        if known is not None:
            result = known
        elif step.twin >= 0:
            twin = plan.steps[step.twin]
            result = shown.get(step.twin) or values.copy_of(twin, step)
            if fallen:
                fallen.update(step.first + slot for slot in range(len(result.outputs)) if twin.first + slot in fallen)
        else:
            if run.listeners:
                run.emit("executing", {"node": node.id, "display_node": node.id})
            started = time.perf_counter()
            result, fell = _invoke(step, run, values.linked(step), outcome)
            outcome.node_seconds[position] = time.perf_counter() - started
            outcome.saved += result.saved
            outcome.executed.append(node.id)
            if fell or (fallen and any(place in fallen for _, place in step.links)):
                fallen.update(range(step.first, step.first + len(result.outputs)))
            elif run.cache is not None and node.id not in run.volatile:
                run.cache.put(step.key, result)
        if result.uses:
            outcome.node_uses[position] = result.uses
        if watched is not None:
            _look(watched, position, result, run, outcome)
        values.store(step, result)
        preflight.check(step, result)
        if not step.links:
            outcome.remarks |= dict.fromkeys(_remarks(result))
        if step.call.spec.output_node:
            shown[position] = result
            if run.listeners:
                data = {"node": node.id, "display_node": node.id, "output": dict(result.ui)}
                run.emit("executed", data, saved=result.saved)
        if known is None:
            values.finish_reading(step, plan)


def _remarks(result: Result) -> list[str]:
    """What is to be said of the models that a loader gave."""
    handles = [handle_of(value) for values in result.outputs for value in values]
    return [line for handle in handles if handle is not None for line in handle.source.remarks]


def _look(watched: Watched, position: int, result: Result, run: Run, outcome: Outcome) -> None:
    """Have the result looked at, and tell which files came of it."""
    for node_id, files in watched.tell(position, result):
        outcome.looked += files
        if run.listeners:
            run.emit("dumped", {"node": node_id, "display_node": node_id, "files": [str(path) for path in files]})


class _Values:
    """The values between steps: each is dropped after its last reader, and with a model's last handle its sessions."""

    def __init__(self, plan: Plan, run: Run) -> None:
        self._values: list[list[Any] | None] = [None] * len(plan.readers)
        self._readers = list(plan.readers)
        self._run = run
        self._handles: Counter[tuple[str, tuple[str, ...]]] = Counter()
        self._kept_open: set[tuple[str, tuple[str, ...]]] = set()

    def linked(self, step: Step) -> dict[str, list[Any]]:
        """The values of the step's links by input name."""
        found = {name: self._read(place) for name, place in step.links}
        if step.call.node.id in self._run.volatile:
            handles = (handle_of(value) for values in found.values() for value in values)
            self._kept_open.update(_components(handle) for handle in handles if handle is not None)
        return found

    def copy_of(self, twin: Step, step: Step) -> Result:
        """The result of ``twin`` where it is still read, as the result of ``step``."""
        count = len(step.call.spec.outputs)
        return Result(tuple(self._values[twin.first + slot] or [] for slot in range(count)))

    def store(self, step: Step, result: Result) -> None:
        """Keep the outputs that somebody will read."""
        for place, output in enumerate(result.outputs, step.first):
            if self._readers[place]:
                self._values[place] = output
                for value in output:
                    handle = handle_of(value)
                    if handle is not None:
                        self._handles[_components(handle)] += 1

    def finish_reading(self, step: Step, plan: Plan) -> None:
        """The step has read its inputs: drop those that nobody else will read."""
        if step.twin >= 0:
            twin = plan.steps[step.twin]
            places = [twin.first + slot for slot in range(len(step.call.spec.outputs)) if self._twin_read(step, slot)]
        else:
            places = [place for _, place in step.links]
        for place in places:
            self._readers[place] -= 1
            if not self._readers[place]:
                self._drop(place)

    def _twin_read(self, step: Step, slot: int) -> bool:
        return self._values[step.first + slot] is not None

    def _read(self, place: int) -> list[Any]:
        found = self._values[place]
        assert found is not None, "a value was dropped before its last reader"
        return found

    def _drop(self, place: int) -> None:
        dropped = self._values[place]
        self._values[place] = None
        for value in dropped or ():
            handle = handle_of(value)
            if handle is not None:
                components = _components(handle)
                self._handles[components] -= 1
                if not self._handles[components] and components not in self._kept_open:
                    self._run.sessions.release(*components)


def _components(handle: Handle) -> tuple[str, tuple[str, ...]]:
    return handle.source.identity, handle.COMPONENTS


def _invoke(step: Step, run: Run, linked: Mapping[str, list[Any]], outcome: Outcome) -> tuple[Result, bool]:
    """What the step gives, and whether a session fell back for it."""
    call = step.call
    literals = call.literals
    if call.spec.hidden:
        literals = {**literals, **{name: _hidden(kind, call.node.id, run) for name, kind in call.spec.hidden.items()}}
    context = NodeContext(run, call.node.ref, outcome) if call.spec.wants_context else None
    try:
        result = invoke(call.spec, context, literals, linked)
        uses = context.uses() if context is not None else ()
        if context is None or not uses:
            return result, False
        return replace(result, uses=uses), context.fell_back(uses)
    except OnnxflowError as error:
        raise error.at(call.node.ref) from error.__cause__
    except MemoryError:
        hint = "use a smaller picture or a smaller batch"
        raise MemoryLimitError("not enough memory", hint=hint, node=call.node.ref) from None
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

"""What one run works with, what it has done so far, and the engine as a node sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from onnxflow.cancel import CancelToken
from onnxflow.engine.cache import ResultCache
from onnxflow.engine.events import Event, Listener, ListenerFailed
from onnxflow.engine.places import Places
from onnxflow.engine.plan import NOWHERE
from onnxflow.engine.record import record
from onnxflow.engine.uses import Uses, not_among, since
from onnxflow.engine.watch import Watch
from onnxflow.errors import NodeRef
from onnxflow.models.disk import Disk
from onnxflow.models.source import Source
from onnxflow.providers.device import CPU
from onnxflow.providers.machine import OnlyCpu
from onnxflow.providers.placement import Placer
from onnxflow.providers.session import SessionLease
from onnxflow.values import Handle, SavedFile, SeedRule, Session
from onnxflow.workflow.workflow import Workflow


@dataclass(frozen=True, slots=True)
class Run:
    """What one execution works with.

    ``volatile`` names the nodes that the caller will run again with other values: their results are not kept in
    ``cache``, and the sessions they use stay open. Up to ``jobs`` nodes that run no network run
    at once, if more than one.
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
    jobs: int = 1

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

    __slots__ = ("_before", "_on_cpu", "_outcome", "_reached", "_run", "_usual", "call", "node")

    def __init__(self, run: Run, node: NodeRef, outcome: Outcome) -> None:
        self._run = run
        self._outcome = outcome
        self._reached = (0, 0)
        self._before: Uses | None = None  # before its first session
        self._usual: set[str] = set()
        self._on_cpu = True
        self.node = node
        self.call = 0

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

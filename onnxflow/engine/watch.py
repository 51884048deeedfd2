"""Looking at results while a run goes on: whose, who looks, and which model each belongs to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from onnxflow.engine.cache import Result, ResultCache
from onnxflow.engine.plan import Plan, Step
from onnxflow.errors import NodeRef
from onnxflow.nodes.spec import Output
from onnxflow.values import Handle, handle_of


class Look(Protocol):
    """What is told of a node's result as soon as it is there."""

    def __call__(
        self, node: NodeRef, outputs: Sequence[Output], values: Sequence[Sequence[Any]], model: Handle | None
    ) -> Sequence[Path]:
        """The files that were written for the node: ``values`` has a list for each of its ``outputs``, ``model`` is the
        one that they were made for, as far as the workflow says. Does not raise: the run goes on."""
        ...


@dataclass(frozen=True, slots=True)
class Watch:
    """Nodes that somebody looks at, by id, None for all that run; they run whether or not an output needs them."""

    nodes: frozenset[str] | None
    look: Look


class Watched:
    """One run's watched steps. Equal nodes are computed once: those that wait for a result of another are told of as
    soon as that one is there."""

    def __init__(self, plan: Plan, watch: Watch, cache: ResultCache | None) -> None:
        self._plan = plan
        self._look = watch.look
        self._cache = cache
        self._firsts = [step.first for step in plan.steps]
        self._handles: dict[int, Handle] = {}  # by the place of the value that is or carries one
        self._waiting: dict[int, list[Step]] = {}
        for position, step in enumerate(plan.steps):
            if step.needed and (watch.nodes is None or step.call.node.id in watch.nodes):
                source = step.twin if step.twin >= 0 and not step.cached else position
                self._waiting.setdefault(source, []).append(step)

    def tell(self, position: int, result: Result) -> list[tuple[str, tuple[Path, ...]]]:
        """The step at ``position`` has this result: the ids of the nodes that were looked at, with their files."""
        self._note(self._plan.steps[position], result)
        found = []
        for step in self._waiting.pop(position, ()):
            model = self._model_of(step)
            outputs = step.call.spec.outputs
            found.append((step.call.node.id, tuple(self._look(step.call.node.ref, outputs, result.outputs, model))))
        return found

    def _note(self, step: Step, result: Result) -> None:
        for place, values in enumerate(result.outputs, step.first):
            for value in values:
                handle = handle_of(value)
                if handle is not None:
                    self._handles.setdefault(place, handle)

    def _model_of(self, step: Step) -> Handle | None:
        """The nearest model on the way back from a step, the step's own first; else the only one of the run so far."""
        for place in range(step.first, step.first + len(step.call.spec.outputs)):
            if place in self._handles:
                return self._handles[place]
        level, seen = [step], {step.first}
        while level:
            linked = [place for one in level for _, place in one.links]
            level = []
            for place in linked:
                before = self._plan.steps[bisect_right(self._firsts, place) - 1]
                if before.first not in seen:
                    seen.add(before.first)
                    level.append(before)
                    known = self._cache.get(before.key) if before.cached and self._cache is not None else None
                    if known is not None:
                        self._note(before, known)
            for place in linked:
                if place in self._handles:
                    return self._handles[place]
        found = list(self._handles.values())
        return found[0] if len({handle.source.identity for handle in found}) == 1 else None

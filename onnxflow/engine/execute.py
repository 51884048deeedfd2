"""Running a plan: plain function calls in order, values dropped after their last reader, sessions closed with them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from onnxflow.engine.cache import Result
from onnxflow.engine.context import NodeContext, Outcome, Run
from onnxflow.engine.failure import failed
from onnxflow.engine.handles import Handles
from onnxflow.engine.invoke import invoke
from onnxflow.engine.places import run_by
from onnxflow.engine.plan import Plan, Step
from onnxflow.engine.preflight import Preflight
from onnxflow.engine.uses import recalled
from onnxflow.engine.watch import Watched
from onnxflow.values import handle_of


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
            look(watched, position, result, run, outcome)
        values.store(step, result)
        preflight.check(step, result)
        if not step.links:
            outcome.remarks |= dict.fromkeys(remarks_of(result))
        if step.call.spec.output_node:
            shown[position] = result
            if run.listeners:
                data = {"node": node.id, "display_node": node.id, "output": dict(result.ui)}
                run.emit("executed", data, saved=result.saved)
        if known is None:
            values.finish_reading(step, plan)


def remarks_of(result: Result) -> list[str]:
    """What is to be said of the models that a loader gave."""
    handles = [handle_of(value) for values in result.outputs for value in values]
    return [line for handle in handles if handle is not None for line in handle.source.remarks]


def look(watched: Watched, position: int, result: Result, run: Run, outcome: Outcome) -> None:
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
        self._handles = Handles(run.sessions)

    def linked(self, step: Step) -> dict[str, list[Any]]:
        """The values of the step's links by input name."""
        found = {name: self._read(place) for name, place in step.links}
        if step.call.node.id in self._run.volatile:
            self._handles.keep_open(value for values in found.values() for value in values)
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
                        self._handles.hold(handle)

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
                self._handles.let_go(handle)


def _invoke(step: Step, run: Run, linked: Mapping[str, list[Any]], outcome: Outcome) -> tuple[Result, bool]:
    """What the step gives, and whether a session fell back for it."""
    call = step.call
    literals = call.literals
    if call.spec.hidden:
        literals = {
            **literals,
            **{name: hidden_value(kind, call.node.id, run) for name, kind in call.spec.hidden.items()},
        }
    context = NodeContext(run, call.node.ref, outcome) if call.spec.wants_context else None
    try:
        result = invoke(call.spec, context, literals, linked)
        uses = context.uses() if context is not None else ()
        if context is None or not uses:
            return result, False
        return replace(result, uses=uses), context.fell_back(uses)
    except Exception as error:
        raised = failed(error, call.node.ref)
        raise raised from raised.__cause__


def hidden_value(kind: str, node_id: str, run: Run) -> Any:
    """What the engine fills in for a hidden input of this kind; None for one that it does not know."""
    if kind == "PROMPT":
        return run.workflow.document
    if kind == "EXTRA_PNGINFO":
        return run.workflow.extra
    return node_id if kind == "UNIQUE_ID" else None

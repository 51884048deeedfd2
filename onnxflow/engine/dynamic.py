"""Running a workflow that cannot be planned ahead: lazy inputs, nodes that make nodes, coroutines, blockers; or one
whose nodes are to run beside each other.

What the outputs need is found from the end, and what is ready runs, in the order of the plan; nothing is recursive, so
that a loop of nodes may be as long as it likes. Chosen for the whole workflow when one of its classes is dynamic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from onnxflow.engine.cache import Result
from onnxflow.engine.context import NodeContext, Outcome, Run
from onnxflow.engine.demand import Demand
from onnxflow.engine.execute import hidden_value, look, remarks_of
from onnxflow.engine.failure import failed
from onnxflow.engine.grow import grown
from onnxflow.engine.live import Item, LivePrompt
from onnxflow.engine.places import COMPONENTS, run_by
from onnxflow.engine.plan import Plan
from onnxflow.engine.preflight import Preflight
from onnxflow.engine.rows import Row, Values, blocker_in, calls_of, collect, links_in, row_of
from onnxflow.engine.tasks import Tasks
from onnxflow.engine.uses import recalled
from onnxflow.engine.watch import Watched
from onnxflow.errors import InputError, OnnxflowError
from onnxflow.nodes.spec import NodeSpec
from onnxflow.values import ExecutionBlocker
from onnxflow.workflow.check import Catalog, Checked


def execute_dynamic(plan: Plan, checked: Checked, catalog: Catalog, rules: str, run: Run, outcome: Outcome) -> Plan:
    """Run what the outputs of ``checked`` need, writing what is done into ``outcome``, as ``execute`` does.

    Returns the plan as it came about: with the nodes that others made, and ``needed`` where a node had to be there.
    """
    flow = _Flow(plan, checked, catalog, rules, run, outcome)
    try:
        flow.go(checked.outputs)
    finally:
        flow.close()
    return flow.plan()


class _Flow:
    """One run of a growing graph."""

    def __init__(self, plan: Plan, checked: Checked, catalog: Catalog, rules: str, run: Run, outcome: Outcome) -> None:
        self._run = run
        self._outcome = outcome
        self._catalog = catalog
        self._rules = rules
        self._plan = plan
        self._prompt = LivePrompt(run.workflow)
        self._tasks: Tasks[Item] = Tasks(run.cancel, run.jobs)
        self._demand = Demand(plan, run)
        self._items = self._demand.items
        self._kept = self._demand.kept
        outcome.recalled = recalled(plan, run.cache)
        calls = [step.call for step in plan.steps if step.needed and not step.cached]
        outcome.wanted = frozenset(name for call in calls for _, names in run_by(call.spec) for name in names)
        self._preflight = Preflight(plan, run.places, run.placer, run.sessions)
        self._watched = Watched(plan, run.watch, run.cache) if run.watch is not None else None

    def go(self, outputs: Sequence[str]) -> None:
        """Run until every output is there; the first error, or Cancelled."""
        for node_id in outputs:
            self._demand.want(self._items[node_id])
        while self._demand.unfinished:
            self._run.cancel.check()
            finished = self._tasks.finished(wait=not self._demand.has_ready) if self._tasks.running else None
            if finished is not None:
                self._came(*finished)
            elif self._demand.has_ready:
                self._advance(self._demand.next())
            else:
                raise self._demand.stuck()

    def close(self) -> None:
        """End what still runs."""
        self._tasks.close()

    def plan(self) -> Plan:
        """The plan as it came about."""
        for item in self._items.values():
            item.step.needed = item.wanted
        return replace(self._plan, steps=tuple(item.step for item in self._items.values()))

    def _advance(self, item: Item) -> None:
        """All that the item waited for is there."""
        try:
            if item.known is not None:
                self._finish(item, item.known)
            elif item.twin is not None:
                self._finish_twin(item, item.twin)
            elif item.rows is not None:
                self._finish_expansion(item, [row for row in item.rows if row is not None])
            else:
                self._start(item)
        except Exception as error:
            raised = self._named(error, item)
            raise raised from raised.__cause__

    def _start(self, item: Item) -> None:
        """Ask which lazy inputs it needs, or call it."""
        call = item.step.call
        spec = call.spec
        linked, missing = self._linked(item)
        literals = dict(call.literals)
        for name, kind in spec.hidden.items():
            literals[name] = self._prompt if kind == "DYNPROMPT" else hidden_value(kind, item.id, self._run)
        calls = calls_of(spec, literals, linked)
        if spec.undeclared is not None:  # what takes inputs of any name may go by their order in the file
            order = [name for name in call.node.inputs if name in calls[0]]
            calls = [{**{name: arguments[name] for name in order}, **arguments} for arguments in calls]
        if missing and spec.check_lazy_status is not None:
            needed = self._lazily_needed(item, calls, missing)
            if needed:
                origins = dict(call.links)
                for name in needed:
                    self._demand.also(item, self._items[origins[name].node])
                self._demand.push_if_ready(item)
                return
        if self._run.listeners and not item.began:
            self._run.emit("executing", {"node": item.id, "display_node": item.display})
        item.began = True
        if item.root.id in self._run.volatile:
            self._kept.keep_open(linked)
        self._call(item, calls)

    def _linked(self, item: Item) -> tuple[dict[str, list[Any]], set[str]]:
        """The values of the item's links by input name, and the names of those that are missing: lazy ones, each given
        as None."""
        by_name = item.step.call.spec.by_name
        linked: dict[str, list[Any]] = {}
        missing: set[str] = set()
        for name, link in item.step.call.links:
            declared = by_name.get(name)
            values = self._kept.value(self._items[link.node], link.slot)
            assert values is not None or (declared is not None and declared.lazy), "dropped before its last reader"
            if declared is not None and declared.raw:
                linked[name] = [list(link)]
            else:
                linked[name] = values if values is not None else [None]
            if values is None:
                missing.add(name)
        return linked, missing

    def _lazily_needed(self, item: Item, calls: list[Values], missing: set[str]) -> list[str]:
        """The inputs among ``missing`` that one of the calls asks for."""
        spec = item.step.call.spec
        assert spec.check_lazy_status is not None
        context = NodeContext(self._run, item.step.call.node.ref, self._outcome)
        asked: dict[str, None] = {}
        for index, arguments in enumerate(calls):
            context.call = index
            if blocker_in(spec, arguments) is None:
                first = (context,) if spec.wants_context else ()
                asked |= dict.fromkeys(spec.check_lazy_status(*first, **arguments) or ())
        return [name for name in asked if name in missing]

    def _call(self, item: Item, calls: list[Values]) -> None:
        """Call the node once for each of ``calls`` that no blocker is in; coroutines are started only."""
        spec = item.step.call.spec
        rows: list[Row | None] = [None] * len(calls)
        context = NodeContext(self._run, item.step.call.node.ref, self._outcome)
        first = (context,) if spec.wants_context else ()
        waiting: list[Callable[[], Any]] = []
        beside = self._run.jobs > 1 and _may_run_beside(spec)
        started = time.perf_counter()
        for index, arguments in enumerate(calls):
            blocker = blocker_in(spec, arguments)
            if blocker is not None:
                rows[index] = self._blocked(item, blocker)
            elif spec.is_async or beside:
                own = NodeContext(self._run, item.step.call.node.ref, self._outcome)
                own.call = index
                waiting.append(partial(spec.function, *((own,) if spec.wants_context else ()), **arguments))
            else:
                if index:
                    self._run.cancel.check()
                context.call = index
                rows[index] = row_of(spec, spec.function(*first, **arguments))
        item.blocked = None not in rows and all(blocker_in(spec, arguments) is not None for arguments in calls)
        if waiting:
            item.rows = rows  # filled when the calls are done
            item.seconds = started
            if beside:
                self._tasks.call(item, lambda: [call() for call in waiting])
            else:
                self._tasks.start(item, waiting)
            return
        item.seconds = time.perf_counter() - started
        uses = context.uses()
        item.fell = context.fell_back(uses) if uses else False
        self._called(item, [row for row in rows if row is not None], uses)

    def _came(self, item: Item, found: list[Any] | BaseException) -> None:
        """The item's calls, which ran beside others, are done."""
        try:
            if isinstance(found, BaseException):
                raise found
            spec = item.step.call.spec
            results = iter(found)
            rows = [row if row is not None else row_of(spec, next(results)) for row in item.rows or ()]
            item.rows = None
            item.seconds = time.perf_counter() - item.seconds
            self._called(item, rows, ())
        except Exception as error:
            raised = self._named(error, item)
            raise raised from raised.__cause__

    def _blocked(self, item: Item, blocker: ExecutionBlocker) -> Row:
        """What a call gives that a blocker keeps from running: blockers, which tell nothing a second time."""
        spec = item.step.call.spec
        if blocker.message is not None and self._run.listeners:
            data = {
                "node_id": item.id,
                "node_type": spec.name,
                "executed": list(self._outcome.executed),
                "exception_message": f"Execution Blocked: {blocker.message}",
                "exception_type": "ExecutionBlocked",
                "traceback": [],
                "current_inputs": {},
                "current_outputs": [],
                "timestamp": int(time.time() * 1000),
            }
            self._run.emit("execution_error", data)
        return Row((ExecutionBlocker(),) * len(spec.outputs))

    def _called(self, item: Item, rows: list[Row], uses: Any) -> None:
        """The item's calls are done: its result is there, or the nodes that run in its place are to run."""
        if all(row.expand is None for row in rows):
            self._finish(item, replace(collect(item.step.call.spec, rows, {}), uses=uses), ran=True)
            return
        links = links_in(rows)
        for row in rows:
            if row.expand is not None:
                item.made += grown(row.expand, item, self._prompt, self._items, self._catalog, self._rules, self._run)
        item.rows = [*rows]
        for link in dict.fromkeys(links):
            origin = self._items.get(link.node)
            if origin is None or not 0 <= link.slot < len(origin.readers):
                raise InputError(f"its result is output {link.slot} of node {link.node}, which does not exist")
            origin.readers[link.slot] += 1
        self._release(item)
        for one in item.made:
            if one.step.call.spec.output_node:
                self._demand.want(one)
        for link in dict.fromkeys(links):
            self._demand.also(item, self._items[link.node])
        self._demand.push_if_ready(item)

    def _finish_twin(self, item: Item, twin: Item) -> None:
        """The node that computes the same is done."""
        assert twin.result is not None, "what is done has a result"
        item.fell, item.blocked = twin.fell, twin.blocked
        result = replace(twin.result, outputs=self._kept.outputs(twin))
        for slot in range(len(twin.readers)):
            self._kept.read(twin, slot)
        self._finish(item, result)

    def _finish_expansion(self, item: Item, rows: list[Row]) -> None:
        """The nodes in the item's place are done: its result is theirs."""
        links = dict.fromkeys(links_in(rows))
        results: dict[Any, list[Any]] = {}
        for link in links:
            origin = self._items[link.node]
            values = self._kept.value(origin, link.slot)
            assert values is not None, "a value was dropped before its last reader"
            results[link] = values
            item.fell |= origin.fell
        inner = tuple(one.step.key for one in item.made)
        uses = [use for one in item.made for use in self._outcome.node_uses.get(one.position, ())]
        result = replace(collect(item.step.call.spec, rows, results), inner=inner, uses=tuple(uses))
        for link in links:
            self._kept.read(self._items[link.node], link.slot)
        item.rows = None
        self._finish(item, result, ran=True)

    def _release(self, item: Item) -> None:
        """The item has read its inputs."""
        if not item.released:
            item.released = True
            for _, link in item.step.call.links:
                self._kept.read(self._items[link.node], link.slot)

    def _finish(self, item: Item, result: Result, *, ran: bool = False) -> None:
        """The item has its result: it is kept, told, and whoever waited for it goes on."""
        run, node, outcome = self._run, item.step.call.node, self._outcome
        if ran:
            outcome.node_seconds[item.position] = item.seconds
            outcome.saved += result.saved
            outcome.executed.append(node.id)
            item.fell = item.fell or any(self._items[link.node].fell for _, link in item.step.call.links)
            if run.cache is not None and not (item.fell or item.blocked or item.root.id in run.volatile):
                run.cache.put(item.step.key, result)
        if result.uses:
            outcome.node_uses[item.position] = result.uses
        if self._watched is not None and item.parent is None:
            look(self._watched, item.position, result, run, outcome)
        self._kept.store(item, result)
        if item.parent is None:
            self._preflight.check(item.step, result)
        if not item.step.call.links:
            outcome.remarks |= dict.fromkeys(remarks_of(result))
        if run.listeners and not item.blocked and (item.step.call.spec.output_node or (ran and result.ui)):
            data = {"node": item.id, "display_node": item.display, "output": dict(result.ui)}
            run.emit("executed", data, saved=result.saved)
        self._release(item)
        self._demand.done(item)

    def _named(self, error: Exception, item: Item) -> OnnxflowError:
        """The error, naming the workflow's own node that the item came from."""
        node = item.step.call.node.ref
        raised = failed(error, node)
        if item.parent is not None and raised.node == node:
            raised.node = item.root
            raised.where = raised.where or f"node {item.id} ({node.class_type}), which runs in its place"
        return raised


def _may_run_beside(spec: NodeSpec) -> bool:
    """Whether calls of a class may run in a thread of their own: those of ours that run no network, hand no model on,
    and write no file. Networks take all cores anyway, files are to be numbered in order, and classes of packs are made
    for one thread."""
    return not (
        spec.is_async
        or spec.output_node
        or spec.may_expand
        or any(item.type in COMPONENTS for item in spec.inputs)
        or any(item.type in COMPONENTS for item in spec.outputs)
    )

"""One run from a workflow to a report: check, plan, execute, with Ctrl-C reaching into a running step."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from onnxflow.cancel import CancelToken
from onnxflow.collector import collector_paused, collector_sparing_the_past
from onnxflow.engine.cache import ResultCache
from onnxflow.engine.context import Outcome, Run
from onnxflow.engine.dynamic import execute_dynamic
from onnxflow.engine.events import Listener, ListenerFailed
from onnxflow.engine.execute import execute
from onnxflow.engine.places import Placing, check_places, places
from onnxflow.engine.plan import make_plan
from onnxflow.engine.record import described
from onnxflow.engine.report import RunReport
from onnxflow.engine.uses import not_among
from onnxflow.engine.watch import Watch
from onnxflow.errors import Cancelled, NodeError, OnnxflowError, shown
from onnxflow.models.disk import Disk
from onnxflow.providers.session import SessionCache, SessionUse
from onnxflow.values import SeedRule
from onnxflow.workflow.check import Catalog, check
from onnxflow.workflow.workflow import Workflow

_T = TypeVar("_T")
_PATIENCE: Final = 1.0  # seconds


def run_workflow(
    workflow: Workflow,
    catalog: Catalog,
    disk: Disk,
    sessions: SessionCache,
    *,
    cache: ResultCache | None = None,
    listeners: Sequence[Listener] = (),
    cancel: CancelToken | None = None,
    targets: Collection[str] | None = None,
    metadata: bool = True,
    volatile: frozenset[str] = frozenset(),
    run_id: str = "",
    placing: Placing | None = None,
    seed_rule: SeedRule = "next",
    watch: Watch | None = None,
    jobs: int = 1,
) -> RunReport:
    """Run ``workflow`` and report what happened.

    Each value is dropped after its last reader and each session closed with the last handle to it. With a ``cache``,
    results known from earlier runs are used and new ones kept, but for those of the ``volatile`` nodes: the caller says
    that it will run these again with other values, and the sessions they need stay open for it. ``placing`` says what
    runs where; without it, all on the CPU. ``seed_rule`` says which seed the noise of a sampler's steps comes from.
    With ``jobs`` above 1 so many nodes that run no network run at once, beside the one that does.
    The nodes of a ``watch`` run even where no output needs them, and each result is looked at as soon as it is there.
    WorkflowError before anything is loaded when the workflow is not valid, UsageError and ProviderError then for a
    device that there is not or that does not work; other errors name the node. Cancelled when ``cancel`` is thrown.
    """
    cancel = cancel or CancelToken()
    started = time.perf_counter()
    placing = placing or Placing()
    lease = sessions.lease(cancel, placing.on_nan)
    run = Run(
        run_id or new_run_id(),
        workflow,
        disk,
        lease,
        cancel,
        cache,
        tuple(listeners),
        metadata,
        volatile,
        placer=placing.placer,
        seed_rule=seed_rule,
        watch=watch,
        jobs=jobs,
    )
    lease.tell = partial(_tell_session, run)
    outcome = Outcome()
    sparing = ExitStack()
    try:
        with collector_paused():
            checked = check(workflow, catalog, disk, targets, watch.nodes or () if watch is not None else ())
            if watch is not None and watch.nodes is None and not checked.dynamic:
                checked = replace(checked, outputs=tuple(checked.calls))
            placed = places(checked, workflow, placing)
            rules = seed_rule if seed_rule != "next" else ""
            plan = make_plan(checked, disk, cache, placed, rules)
            for step in plan.steps:
                if step.needed and not step.cached and placed.wishes:
                    check_places(placed, step.call, placing.placer)
            run = replace(run, places=placed)
            # Before the collector runs again, or its first round would walk the whole plan.
            sparing.enter_context(collector_sparing_the_past())
        run.emit("execution_start", {"timestamp": _now()})
        run.emit("execution_cached", {"nodes": plan.cached, "timestamp": _now()})
        try:
            if checked.dynamic or jobs > 1:
                plan = execute_dynamic(plan, checked, catalog, rules, run, outcome)
            else:
                execute(plan, run, outcome)
        except OnnxflowError as error:
            _tell(run, error, outcome)
            raise
        run.emit("execution_success", {"timestamp": _now()})
        run.emit("executing", {"node": None})
    except ListenerFailed as failed:
        raise failed.error from None
    finally:
        sparing.close()
        lease.close()
    if cache is not None:
        cache.retain(plan.keys)
    uses = lease.uses()
    remembered = not_among(outcome.recalled, uses)
    return RunReport(
        run_id=run.run_id,
        saved=tuple(outcome.saved),
        sessions=(*uses, *remembered),
        recalled=remembered,
        node_uses=outcome.node_uses,
        seconds=time.perf_counter() - started,
        document=workflow.document,
        plan=plan,
        node_seconds=outcome.node_seconds,
        dumped=tuple(outcome.looked),
        remarks=(*workflow.remarks, *outcome.remarks),
    )


def _tell_session(run: Run, phase: str, use: SessionUse) -> None:
    """Tell the listeners that a session is being loaded, is ready, or has made its first call."""
    run.emit("session", {"phase": phase, **described(use)})


def _tell(run: Run, error: OnnxflowError, outcome: Outcome) -> None:
    """Tell the listeners how the run ended before its end."""
    node = {
        "node_id": error.node.id if error.node else None,
        "node_type": error.node.class_type if error.node else None,
    }
    common = {**node, "executed": list(outcome.executed), "timestamp": _now()}
    if isinstance(error, Cancelled):
        run.emit("execution_interrupted", common)
    else:
        cause = traceback.format_tb(error.__cause__.__traceback__) if isinstance(error, NodeError) else []  # type: ignore[union-attr]
        known = run.workflow.graph.nodes.get(error.node.id) if error.node else None
        inputs = known.inputs if known is not None else {}
        data = {
            "exception_message": error.render(),
            "exception_type": type(error).__name__,
            "traceback": cause,
            "current_inputs": {name: [shown(value)] for name, value in inputs.items()},
            "current_outputs": list(outcome.executed),
        }
        run.emit("execution_error", {**common, **data})
    run.emit("executing", {"node": None})


def interruptible(work: Callable[[], _T], cancel: CancelToken, still: Callable[[], None] = lambda: None) -> _T:
    """The result of ``work``, done in a thread so that Ctrl-C reaches the caller while a network runs.

    Python handles signals in the main thread only, and only between its own instructions: waiting here keeps it free.
    The first Ctrl-C asks the run to stop and waits for it (Cancelled); a second one leaves at once. ``still`` is
    called when the run has not stopped after a second.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    outcome: list[_T] = []
    failure: list[BaseException] = []
    finished = threading.Event()

    def target() -> None:
        try:
            outcome.append(work())
        except BaseException as error:  # handed to the caller below
            failure.append(error)
        finally:
            finished.set()

    thread = threading.Thread(target=target, name="onnxflow-run", daemon=True)
    try:
        thread.start()
        _wait(finished)
    except KeyboardInterrupt:
        cancel.cancel()
        if not finished.wait(_PATIENCE):
            still()
        _wait(finished)
        if not failure:
            raise Cancelled() from None
    if failure:
        raise failure[0]
    return outcome[0]


def _wait(finished: threading.Event) -> None:
    # Not Thread.join: in Python 3.11 a Ctrl-C inside it makes the thread look finished while it still runs. And not
    # without a limit: such a wait cannot be interrupted on Windows.
    while not finished.wait(0.2):
        pass


def new_run_id() -> str:
    """A random id in the form of a UUID (importing uuid would cost more than it does)."""
    digits = os.urandom(16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _now() -> int:
    """Milliseconds since 1970, as in ComfyUI's messages."""
    return int(time.time() * 1000)

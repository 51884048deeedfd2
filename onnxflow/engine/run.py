"""One run from a workflow to a report: check, plan, execute, with Ctrl-C reaching into a running step."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from onnxflow.cancel import CancelToken
from onnxflow.collector import collector_paused
from onnxflow.engine.cache import ResultCache
from onnxflow.engine.events import Listener
from onnxflow.engine.execute import Run, execute
from onnxflow.engine.plan import make_plan
from onnxflow.engine.report import RunReport
from onnxflow.errors import Cancelled, OnnxflowError
from onnxflow.models.disk import Disk
from onnxflow.providers.session import SessionCache
from onnxflow.workflow.check import Catalog, check
from onnxflow.workflow.workflow import Workflow

_T = TypeVar("_T")


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
    run_id: str = "",
) -> RunReport:
    """Run ``workflow`` and report what happened.

    With a ``cache``, results known from earlier runs are used and new ones kept; without, each value is dropped after
    its last reader and each session closed with the last handle to it. WorkflowError before anything is loaded when the
    workflow is not valid; other errors name the node. Cancelled when ``cancel`` is thrown.
    """
    cancel = cancel or CancelToken()
    run = Run(run_id or new_run_id(), workflow, disk, sessions, cancel, cache, tuple(listeners), metadata)
    started = time.perf_counter()
    with collector_paused():
        checked = check(workflow, catalog, disk, targets)
        plan = make_plan(checked, disk, cache)
    run.emit("execution_start", {"timestamp": _now()})
    run.emit("execution_cached", {"nodes": plan.cached, "timestamp": _now()})
    try:
        executed = execute(plan, run)
    except Cancelled as error:
        node = {"node_id": error.node.id, "node_type": error.node.class_type} if error.node else {}
        run.emit("execution_interrupted", {**node, "executed": [], "timestamp": _now()})
        raise
    except OnnxflowError as error:
        node = {"node_id": error.node.id, "node_type": error.node.class_type} if error.node else {}
        message = {"exception_message": error.render(), "exception_type": error.code}
        run.emit("execution_error", {**node, **message, "executed": [], "timestamp": _now()})
        raise
    if cache is not None:
        cache.retain(plan.keys)
    run.emit("execution_success", {"timestamp": _now()})
    return RunReport(
        run_id=run.run_id,
        saved=executed.saved,
        sessions=sessions.uses(),
        seconds=time.perf_counter() - started,
        document=workflow.document,
        plan=plan,
        node_seconds=executed.node_seconds,
    )


def interruptible(work: Callable[[], _T], cancel: CancelToken) -> _T:
    """The result of ``work``, done in a thread so that Ctrl-C reaches the caller while a network runs.

    Python handles signals in the main thread only, and only between its own instructions: waiting here keeps it free.
    The first Ctrl-C asks the run to stop and waits for it (Cancelled); a second one leaves at once.
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

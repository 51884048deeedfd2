"""Nodes whose workflows cannot be planned ahead, and runs of them that keep their events."""

from __future__ import annotations

import asyncio
import threading
from typing import Annotated, Any

import fakes
from fakes import CATALOG, DISK, Number, no_sessions, workflow
from recorder import Recorder

from onnxflow.cancel import CancelToken
from onnxflow.engine.cache import ResultCache
from onnxflow.engine.report import RunReport
from onnxflow.engine.run import run_workflow
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeResult, node
from onnxflow.nodes.widgets import Hidden, Int, Lazy, RawLink, String
from onnxflow.values import ExecutionBlocker

Nodes = dict[str, tuple[str, dict[str, Any]]]
Whole = Annotated[int, Int(-1000, 10**9)]


class Anything:
    """A value of any type."""

    SOCKET = "*"


@node("Block", category="test", may_block=True)
def block(number: Number, when: Whole = 0, message: Annotated[str, String()] = "") -> Number:
    """The number, or a blocker where it is ``when``."""
    return ExecutionBlocker(message or None) if number == when else number  # type: ignore[return-value]


@node("BlockBoth", category="test", may_block=True)
def block_both(number: Number) -> tuple[Number, Number]:
    return ExecutionBlocker()  # type: ignore[return-value]


def _wanted(which: int | None, a: Any, b: Any, **others: Any) -> list[str]:
    fakes.calls.append(f"asked {which} {a} {b}")
    if which is None:
        return ["which"]
    return ["b"] if which else ["a"]


@node("Choose", category="test", check_lazy_status=_wanted)
def choose(
    which: Annotated[int, Int(), Lazy()], a: Annotated[Number, Lazy()], b: Annotated[Number, Lazy()] = None
) -> Number:  # type: ignore[assignment]
    """Input b where ``which`` is not 0, else a; the other does not run."""
    fakes.calls.append(f"Choose {which} {a} {b}")
    return b if which else a


@node("Careless", category="test")
def careless(a: Annotated[Number, Lazy()]) -> Number:
    """Has a lazy input and never asks for it."""
    return 7 if a is None else 8  # type: ignore[return-value]


@node("Countdown", category="test", may_expand=True)
def countdown(ctx: Context, number: Number, times: Whole = 3) -> Number:
    """Adds the number to itself ``times`` times, each time in a node of its own."""
    fakes.calls.append(f"Countdown {times}")
    if times <= 0:
        return number
    me = ctx.node.id
    return NodeResult(  # type: ignore[return-value]
        ([f"{me}.n", 0],),
        expand={
            f"{me}.a": {"class_type": "Add", "inputs": {"a": number, "b": 1, "scale": 1.0}},
            f"{me}.n": {"class_type": "Countdown", "inputs": {"number": [f"{me}.a", 0], "times": times - 1}},
        },
    )


@node("Replace", category="test", may_expand=True)
def replace(ctx: Context, number: Anything, nodes: Anything, result: Anything) -> Number:
    """Has the ``nodes`` run in its place, `~` in ids being its own id; ``number`` is theirs as "input"."""

    def named(value: Any) -> Any:
        if isinstance(value, str):
            return number if value == "input" else value.replace("~", ctx.node.id)
        if isinstance(value, list):
            return [named(item) for item in value]
        return {named(k): named(v) for k, v in value.items()} if isinstance(value, dict) else value

    return NodeResult((named(result),), ui={"text": ["replaced"]}, expand=named(nodes))  # type: ignore[return-value]


@node("Some", category="test", may_expand=True)
def some(ctx: Context, number: Number) -> Number:
    """An even number as it is; for an odd one, a node that doubles it."""
    me = f"{ctx.node.id}.{ctx.call}"
    if number % 2 == 0:  # type: ignore[operator]
        return number
    made = {me: {"class_type": "Add", "inputs": {"a": number, "b": number}}}
    return NodeResult(([me, 0],), expand=made)  # type: ignore[return-value]


@node("Sight", category="test", may_expand=True)
def sight(
    flow: Annotated[Number, RawLink()],
    graph: Annotated[Any, Hidden("DYNPROMPT")] = None,
    me: Annotated[str, Hidden("UNIQUE_ID")] = "",
) -> Number:
    """Runs once more what it is linked to, with a value of 40."""
    origin, slot = flow  # type: ignore[misc]
    copy = graph.get_node(origin)
    made = {f"{me}.c": {"class_type": copy["class_type"], "inputs": {**copy["inputs"], "value": 40}}}
    return NodeResult(([f"{me}.c", slot],), expand=made)  # type: ignore[return-value]


running: list[str] = []
"""Coroutines that run, and threads that they ran in."""


@node("Sleep", category="test")
async def sleep(number: Number, milliseconds: Whole = 50) -> Number:
    """The number, later; an error for 13."""
    running.append(threading.current_thread().name)
    try:
        await asyncio.sleep(milliseconds / 1000)
    except asyncio.CancelledError:
        running.append("cancelled")
        raise
    if number == 13:
        raise RuntimeError("thirteen")
    return number


@node("Once", category="test", not_idempotent=True)
def once(number: Number) -> Number:
    fakes.calls.append("Once")
    return number


def _never(disk: Any, number: Any) -> str:
    raise RuntimeError("cannot tell")


@node("Never", category="test", fingerprint=_never)
def never(number: Number) -> Number:
    """Does not know what its result depends on."""
    fakes.calls.append("Never")
    return number


@node("Whole", category="test")
def whole(value: Whole) -> int:
    fakes.calls.append(f"Whole {value}")
    return value


@node("Wholes", category="test", output_is_list=(True,))
def wholes() -> int:
    return [0, 1, 1]  # type: ignore[return-value]


@node("Mirror", category="test", may_expand=True)
def mirror(ctx: Context, number: Number) -> Number:
    """Has itself run in its place."""
    made = {f"{ctx.node.id}.x": {"class_type": "Mirror", "inputs": {"number": ["s", 0]}}}
    return NodeResult(([f"{ctx.node.id}.x", 0],), expand=made)  # type: ignore[return-value]


@node("Liar", category="test")
def liar() -> Number:
    return NodeResult((1,), expand={})  # type: ignore[return-value]


GROWING = CATALOG.with_specs([
    block, block_both, choose, careless, countdown, replace, some, sight, sleep, once, never, whole, wholes, mirror,
    liar,
])  # fmt: skip


def run(
    nodes: Nodes,
    cache: ResultCache | None = None,
    cancel: CancelToken | None = None,
    recorder: Recorder | None = None,
    targets: list[str] | None = None,
) -> tuple[RunReport, Recorder]:
    """Run the nodes; what ran is in fakes.calls."""
    fakes.calls.clear()
    running.clear()
    recorder = recorder or Recorder()
    report = run_workflow(
        workflow(**nodes),
        GROWING,
        DISK,
        no_sessions(),
        cache=cache,
        listeners=[recorder],
        cancel=cancel,
        targets=targets,
    )
    return report, recorder

"""Values that know whether anything still holds them: a chain of nodes, each of which counts what is alive."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from fakes import DISK, no_sessions, workflow

from onnxflow.engine.run import run_workflow
from onnxflow.nodes.catalog import NodeCatalog
from onnxflow.nodes.spec import NodeResult, node


class Big:
    """A value of a socket of its own."""

    SOCKET = "BIG"


def living_in_a_chain(*, may_block: bool = False) -> tuple[list[int], int]:
    """How many values are alive when each of six nodes has its input, and how many after the run. With ``may_block``
    the nodes are of a class that cannot be planned ahead."""
    alive: list[weakref.ref[Big]] = []
    counts: list[int] = []

    def living() -> int:
        gc.collect()
        return sum(ref() is not None for ref in alive)

    def make() -> Big:
        value = Big()
        alive.append(weakref.ref(value))
        return value

    def pass_on(big: Big) -> Big:
        counts.append(living())
        return make()

    def end(big: Big) -> NodeResult:
        counts.append(living())
        return NodeResult()

    catalog = NodeCatalog([
        node("Make", category="t")(make), node("PassOn", category="t", may_block=may_block)(pass_on),
        node("End", category="t", output_node=True)(end),
    ])  # fmt: skip
    nodes: dict[str, Any] = {"0": ("Make", {})}
    for i in range(1, 6):
        nodes[str(i)] = ("PassOn", {"big": (str(i - 1), 0)})
    nodes["e"] = ("End", {"big": ("5", 0)})
    run_workflow(workflow(**nodes), catalog, DISK, no_sessions())
    return counts, living()

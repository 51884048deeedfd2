"""`make bench-engine`: what the engine itself costs a node, with nodes that only pass a number on.

Prints medians of several runs in microseconds a node, for the same 1,000 nodes as 20 chains of 50 and as 4 of 250, and
for 100,000 nodes as 2,000 chains of 50 and as one: the figure must not grow with depth. (It grows somewhat with the
number of nodes, whatever their depth, because 100,000 do not fit the processor's caches.) The last line is for the same
nodes beside one of a class that may block, which has all of them run by the engine for graphs that grow. "run" is
check + plan + execute of a parsed graph, freeing its report not counted; parsing the JSON text is shown beside it.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Annotated

from onnxflow.engine.cache import ResultCache
from onnxflow.engine.run import run_workflow
from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.nodes.catalog import NodeCatalog
from onnxflow.nodes.spec import NodeResult, node
from onnxflow.nodes.widgets import Int
from onnxflow.providers.session import SessionCache
from onnxflow.workflow.read import parse_workflow


class Number:
    """A socket type for numbers."""

    SOCKET = "NUMBER"


@node("BenchStart", category="bench")
def bench_start(value: Annotated[int, Int(0, 10**9)] = 0) -> Number:
    """A number."""
    return value  # type: ignore[return-value]


@node("BenchPass", category="bench")
def bench_pass(number: Number, add: Annotated[int, Int(0, 10**9)] = 0) -> Number:
    """The number, passed on."""
    return number


@node("BenchEnd", category="bench", output_node=True)
def bench_end(number: Number) -> NodeResult:
    """Takes a number and keeps nothing."""
    return NodeResult()


@node("BenchGrow", category="bench", output_node=True, may_block=True)
def bench_grow() -> NodeResult:
    """Has the whole workflow run as one that may grow."""
    return NodeResult()


CATALOG = NodeCatalog([bench_start, bench_pass, bench_end, bench_grow])
DISK = Disk(Folders(Path("input"), Path("output"), Path("temp")), ModelStore())


def chains(count: int, length: int) -> str:
    """The JSON of ``count`` chains of ``length`` nodes."""
    document: dict[str, object] = {}
    for chain in range(count):
        before = ""
        for place in range(length):
            here = f"{chain}.{place}"
            if place == 0:
                entry: dict[str, object] = {"class_type": "BenchStart", "inputs": {"value": chain}}
            elif place == length - 1:
                entry = {"class_type": "BenchEnd", "inputs": {"number": [before, 0]}}
            else:
                entry = {"class_type": "BenchPass", "inputs": {"number": [before, 0], "add": place}}
            document[here] = {**entry, "_meta": {"title": f"Node {place}"}}
            before = here
    return json.dumps(document)


def measure(count: int, length: int, repeats: int, grow: bool = False) -> tuple[float, float, float]:
    """Median microseconds a node: parsing, a run with nothing cached, a run with everything cached."""
    text = chains(count, length)
    nodes = count * length
    if grow:
        text = text[:-1] + ', "grow": {"class_type": "BenchGrow", "inputs": {}}}'
    parse, uncached, cached = [], [], []
    for _ in range(repeats):
        started = time.perf_counter()
        workflow = parse_workflow(text)
        parse.append(time.perf_counter() - started)
        cache = ResultCache()
        started = time.perf_counter()
        report = run_workflow(workflow, CATALOG, DISK, SessionCache(), cache=cache)
        uncached.append(time.perf_counter() - started)
        assert len(report.node_seconds) == nodes + grow
        del report  # or the next run would be charged with freeing this one's plan
        started = time.perf_counter()
        report = run_workflow(workflow, CATALOG, DISK, SessionCache(), cache=cache)
        cached.append(time.perf_counter() - started)
        assert not report.node_seconds
        del report
    return tuple(statistics.median(times) / nodes * 1e6 for times in (parse, uncached, cached))  # type: ignore[return-value]


def main() -> None:
    """Print the table; exit 1 when a required bound is missed."""
    print(f"{platform.platform()}, Python {platform.python_version()}, medians, microseconds a node")
    print(f"{'graph':>12} {'parse':>8} {'uncached':>9} {'cached':>8}")
    print(f"{'required':>12} {'':>8} {'<= 40':>9} {'<= 15':>8}")
    print(f"{'goal':>12} {'':>8} {'<= 25':>9} {'<= 10':>8}")
    missed = False
    for count, length, repeats in ((20, 50, 21), (4, 250, 21), (2_000, 50, 5), (1, 100_000, 5)):
        parse, uncached, cached = measure(count, length, repeats)
        print(f"{f'{count} x {length}':>12} {parse:8.1f} {uncached:9.1f} {cached:8.1f}")
        missed |= uncached > 40 or cached > 15
    parse, uncached, cached = measure(4, 250, 21, grow=True)
    print(f"{'growing':>12} {parse:8.1f} {uncached:9.1f} {cached:8.1f}")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()

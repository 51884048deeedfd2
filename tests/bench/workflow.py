"""`make bench-workflow`: what reading a workflow of the editor's format costs, and checking it.

Prints medians in seconds for files of 10,000 and 100,000 nodes in the editor's format (chains of pictures with
reroutes, bypassed nodes and instances of a subgraph between them), and what a node costs more in the larger one: the
figure must stay near 1. "convert" is parsed JSON to the API format, "check" the graph against the catalog.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

import onnxflow
from onnxflow.collector import collector_paused
from onnxflow.models.disk import Disk, Folders
from onnxflow.models.store import ModelStore
from onnxflow.nodes.catalog import builtin_catalog
from onnxflow.workflow.check import check
from onnxflow.workflow.definitions import definitions
from onnxflow.workflow.read import parse_workflow
from onnxflow.workflow.ui.convert import Circumstances, to_api

CATALOG = builtin_catalog()
DISK = Disk(Folders(Path("input"), Path("output"), Path("temp")), ModelStore())
GROUP: Final = 10
"""Nodes of a group: a source, seven that pass pictures on, one that keeps them, and one inside the subgraph."""
MOST_CONVERT, MOST_CHECK, MOST_GROWTH = 3.0, 2.0, 2.0


def editors_file(nodes: int) -> str:
    """The JSON of a workflow of so many nodes, as the editor saves it."""
    found: list[dict[str, Any]] = []
    links: list[list[Any]] = []

    def add(type_: str, name: str = "image", values: list[Any] | None = None, mode: int = 0) -> None:
        node_id = len(found) + 1
        slots = []
        if type_ != "EmptyImage":
            links.append([len(links) + 1, node_id - 1, 0, node_id, 0, "IMAGE"])
            slots = [{"name": name, "type": "*" if type_ == "Reroute" else "IMAGE", "link": len(links)}]
        found.append(
            {
                "id": node_id,
                "type": type_,
                "pos": [0, 0],
                "mode": mode,
                "inputs": slots,
                "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
                "widgets_values": values or [],
                "properties": {"Node name for S&R": type_},
            }
        )

    for _ in range(nodes // GROUP):
        add("EmptyImage", values=[64, 64, 1, 0])
        add("ImageInvert")
        add("Reroute", "")
        add("ImageScaleBy", values=["area", 1.0])
        add("inside")
        add("ImageInvert", mode=4)
        add("Reroute", "")
        add("ImageBlur", values=[1, 1.0])
        add("PreviewImage", "images")
    inside = {
        "id": "inside",
        "name": "Inside",
        "inputs": [{"name": "image", "type": "IMAGE"}],
        "outputs": [{"name": "IMAGE", "type": "IMAGE"}],
        "nodes": [{"id": 1, "type": "ImageInvert", "inputs": [{"name": "image", "type": "IMAGE", "link": 1}]}],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 1, "target_slot": 0, "type": "IMAGE"},
            {"id": 2, "origin_id": 1, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"},
        ],
    }
    document = {"nodes": found, "links": links, "definitions": {"subgraphs": [inside]}, "version": 0.4}
    return json.dumps(document)


def measure(nodes: int, repeats: int) -> tuple[float, float, float]:
    """Median seconds: reading the file's text to a graph, the conversion in it, and checking the graph."""
    text = editors_file(nodes)
    document = json.loads(text)
    define = definitions(CATALOG, DISK)
    reading, converting, checking = [], [], []
    for _ in range(repeats):
        started = time.perf_counter()
        with collector_paused():  # as it is where files are read
            made = to_api(document, define, Circumstances(Random(0), datetime(2026, 1, 1)), "bench")
        converting.append(time.perf_counter() - started)
        assert not made.remarks
        del made
        started = time.perf_counter()
        workflow = parse_workflow(text)
        reading.append(time.perf_counter() - started)
        started = time.perf_counter()
        checked = check(workflow, CATALOG, DISK)
        checking.append(time.perf_counter() - started)
        assert len(checked.calls) == nodes // GROUP * 6, "all but reroutes, bypassed nodes and instances run"
        del workflow, checked
    return statistics.median(reading), statistics.median(converting), statistics.median(checking)


def main() -> None:
    """Print the table; exit 1 when a required bound is missed."""
    print(
        f"{platform.platform()}, {platform.processor() or platform.machine()}, Python {platform.python_version()}, "
        f"onnxflow {onnxflow.__version__}; medians, seconds"
    )
    print(f"{'nodes':>10} {'read':>8} {'convert':>8} {'check':>8}")
    print(f"{'required':>10} {'':>8} {f'<= {MOST_CONVERT:.0f}':>8} {f'<= {MOST_CHECK:.0f}':>8}  of 10,000")
    small = measure(10_000, 7)
    large = measure(100_000, 3)
    for nodes, figures in ((10_000, small), (100_000, large)):
        print(f"{nodes:>10,} " + " ".join(f"{seconds:8.2f}" for seconds in figures))
    growth = [after / before / 10 for before, after in zip(small, large, strict=True)]
    print(f"{'a node':>10} " + " ".join(f"{f'x {factor:.2f}':>8}" for factor in growth))
    if small[1] > MOST_CONVERT or small[2] > MOST_CHECK or max(growth) > MOST_GROWTH:
        sys.exit("a required bound is missed")


if __name__ == "__main__":
    main()

"""What a run did, for people: one line, or tables with ``-v``."""

from __future__ import annotations

from typing import TextIO

from onnxflow.engine.report import RunReport
from onnxflow.providers.session import SessionUse


def print_summary(report: RunReport, stream: TextIO) -> None:
    """One line: how long it took and which part of the model ran where, in which precision."""
    where: dict[str, list[str]] = {}
    for use in report.sessions:
        if use.calls:
            where.setdefault(f"{use.variant} on {use.device}", []).append(use.component)
    parts = "; ".join(f"{', '.join(dict.fromkeys(names))}: {place}" for place, names in where.items())
    print(f"done in {report.seconds:.1f} s" + (f"  ({parts})" if parts else ""), file=stream)


def print_details(report: RunReport, stream: TextIO) -> None:
    """Seconds by node, and what each session cost to load and to run."""
    for node in report.nodes:
        name = f"{node.id} {node.title or node.class_type}"
        print(f"  {'cached' if node.cached else f'{node.seconds:.3f} s':>10}  {name}", file=stream)
    for use in report.sessions:
        print(f"  {use.load_seconds:>8.3f} s  load {_name(use)}", file=stream)
        print(f"  {use.run_seconds:>8.3f} s  run  {_name(use)}, {use.calls} calls", file=stream)


def _name(use: SessionUse) -> str:
    return f"{use.model} {use.component} ({use.variant}, {use.device})"

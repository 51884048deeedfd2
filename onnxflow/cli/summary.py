"""What a run did, for people: one line, and one for everything that is not as asked; tables with ``-v``."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from onnxflow.engine.record import node_shares, time_shares
from onnxflow.engine.report import RunReport
from onnxflow.errors import printable
from onnxflow.providers.placement import AUTO
from onnxflow.providers.session import SessionUse


def print_summary(report: RunReport, stream: TextIO) -> None:
    """How long it took and which part of the model ran where, in which precision; what is to be said of the
    models."""
    where: dict[str, list[str]] = {}
    for use in report.sessions:
        if use.calls:
            where.setdefault(f"{use.variant} on {use.device}", []).append(use.component)
    parts = "; ".join(f"{', '.join(dict.fromkeys(names))}: {place}" for place, names in where.items())
    print(f"done in {report.seconds:.1f} s" + (f"  ({parts})" if parts else ""), file=stream)
    for line in report.remarks:
        print(printable(f"  {line}"), file=stream)


def print_dumped(files: Sequence[Path], remarks: Iterable[str], stream: TextIO) -> None:
    """The files of --dump, a path a line, and what is odd about the values in them. Not on stdout: that has what the
    workflow saves, for whoever reads it."""
    print(f"dumped {len(files)} file{'s' * (len(files) != 1)}" + (":" if files else ""), file=stream)
    for path in files:
        print(printable(f"  {path}"), file=stream)
    for remark in remarks:
        print(printable(f"  {remark}"), file=stream)


def print_fallen_back(uses: Iterable[SessionUse], stream: TextIO) -> None:
    """A line for everything that is not as asked: whoever wants quiet wants to know this."""
    for line in fallen_back(uses):
        print(line, file=stream)


def fallen_back(uses: Iterable[SessionUse]) -> list[str]:
    """How sessions are not what was asked for, a line for all of which the same is to say."""
    found: dict[str, list[str]] = {}
    for use in uses:
        if not use.calls:
            continue
        if use.note:
            said = f"asked for {use.asked}, ran in {use.variant} on {use.device}: {use.note}"
        elif use.facts.elsewhere:
            left = ", ".join(f"{count} {operator}" for operator, count in use.facts.elsewhere.items())
            said = f"asked for {use.asked}, which left {left} to others ({_shares(use)})"
        else:
            continue
        found.setdefault(said, []).append(use.component)
    return [printable(f"{', '.join(dict.fromkeys(names))}: {said}") for said, names in found.items()]


def tell_tried(text: str) -> None:
    """Say on stderr which device is tried, before it is: it may take a minute, and is remembered afterwards."""
    print(printable(f"{text} ..."), file=sys.stderr, flush=True)


def print_details(report: RunReport, stream: TextIO) -> None:
    """Seconds by node, what each session cost to load and to run and on what, and whose the time was."""
    for node in report.nodes:
        ran = ", ".join(f"{use.component} {use.variant} on {use.device}" for use in node.ran)
        name = printable(f"{node.id} {node.title or node.class_type}" + (f": {ran}" if ran else ""))
        print(f"  {'cached' if node.cached else f'{node.seconds:.3f} s':>10}  {name}", file=stream)
    for use in report.ran:
        asked = f"; asked for {use.asked}" if use.asked != AUTO else ""
        name = f"{use.model} {use.component} ({use.variant}, {use.device}{asked})"
        facts = use.facts
        print(
            f"  {use.load_seconds:>8.3f} s  load {name}: reading {facts.load_seconds:.3f} s, optimising and compiling"
            f" {facts.build_seconds:.3f} s",
            file=stream,
        )
        first = f", the first {facts.first_seconds:.3f} s" if use.calls > 1 else ""
        print(f"  {use.run_seconds:>8.3f} s  run  {name}, {use.calls} calls{first}; {_shares(use)}", file=stream)
    for use in report.recalled:
        print(f"  {'cached':>10}  run  {use.model} {use.component} ({use.variant}, {use.device})", file=stream)
    shares = ", ".join(f"{share:.0%} {name}" for name, share in time_shares(report.ran).items())
    if shares:
        print(f"  time in networks: {shares}", file=stream)


def _shares(use: SessionUse) -> str:
    """Where the nodes of a session's graph ran, and where its first call spent its time if that was measured."""
    nodes = ", ".join(f"{share:.0%} {name}" for name, share in node_shares(use).items())
    time = time_shares([use]) if use.facts.time_shares else {}
    times = ", ".join(f"{share:.0%} {name}" for name, share in time.items())
    return (f"nodes: {nodes}" if nodes else "nodes: unknown") + (f"; time: {times}" if times else "")


def tell_stopping() -> None:
    """Say that a run that was interrupted has not stopped yet."""
    print("stopping: ONNX Runtime ends what it has begun; Ctrl-C again leaves at once", file=sys.stderr)

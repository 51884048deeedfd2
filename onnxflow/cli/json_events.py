"""``--json``: what happens, as one JSON object a line, named and shaped as ComfyUI's WebSocket messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO

from onnxflow.engine.events import Event
from onnxflow.engine.record import described, time_shares
from onnxflow.engine.report import NodeReport, RunReport
from onnxflow.errors import OnnxflowError, WorkflowError
from onnxflow.workflow.response import error_response


class JsonEvents:
    """A listener that writes to ``stream``, flushed after every line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        self._write(event.type, event.data)

    def report(self, report: RunReport) -> None:
        """The last line of a run (ours, ComfyUI has none): files, seconds, nodes, sessions with what was
        asked for and what ran, and the share of the networks' time by provider. What a session did in an earlier turn,
        for results that this one used again, is "cached": true, and no part of the time. With --dump, its files are in
        "dumped", as before in the event of that name for each node."""
        sessions: list[dict[str, Any]] = [described(use) for use in report.ran]
        sessions += [{**described(use), "cached": True} for use in report.recalled]
        nodes = [_node(node) for node in report.nodes]
        files = [str(file.path) for file in report.saved]
        time = {name: round(share, 4) for name, share in time_shares(report.ran).items()}
        data = {"files": files, "seconds": round(report.seconds, 4), "nodes": nodes, "sessions": sessions, "time": time}
        dumped = {"dumped": [str(path) for path in report.dumped]} if report.dumped else {}
        remarks = {"remarks": list(report.remarks)} if report.remarks else {}
        self._write("report", {**data, **dumped, **remarks, "prompt_id": report.run_id})

    def error(self, error: OnnxflowError) -> None:
        """An error: an invalid workflow as the body ComfyUI's server answers with, others by code and message."""
        if isinstance(error, WorkflowError):
            self._write("invalid", error_response(error))
        else:
            node = error.node.id if error.node else None
            data = {
                "code": error.code,
                "message": error.message,
                "where": error.where,
                "hint": error.hint,
                "node": node,
            }
            self._write("error", {**data, "exit_code": error.exit_code})

    def _write(self, type_: str, data: Mapping[str, Any]) -> None:
        # A value of a workflow may be anything, NaN included, which is no JSON: it is written as a text.
        try:
            line = json.dumps({"type": type_, "data": data}, allow_nan=False, default=str)
        except ValueError:
            line = json.dumps({"type": type_, "data": _plain(data)}, default=str)
        self._stream.write(line + "\n")
        self._stream.flush()


def _node(node: NodeReport) -> dict[str, Any]:
    """A node of the report, with what its networks were asked to run on and ran on, if it has any."""
    found: dict[str, Any] = {
        "node": node.id,
        "class_type": node.class_type,
        "seconds": round(node.seconds, 4),
        "cached": node.cached,
    }
    if node.ran:
        found["ran"] = [
            {"component": use.component, "precision": use.variant, "asked": use.asked, "device": use.device}
            for use in node.ran
        ]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return (
        str(value) if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))) else value
    )

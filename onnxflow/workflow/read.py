"""Bytes of a file -> Workflow: which kind of JSON it is, and a clear error when it is none we can run.

The API format and the editor's own are read, as files and out of pictures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from onnxflow.collector import collector_paused
from onnxflow.errors import WorkflowError, did_you_mean
from onnxflow.workflow.api import parse_api
from onnxflow.workflow.definitions import Define, comfyui_definition
from onnxflow.workflow.ui.convert import Circumstances, to_api
from onnxflow.workflow.workflow import Workflow

_LARGEST: Final = 256 * 2**20
_API_HINT: Final = "a workflow is what ComfyUI's editor saves or exports (API), or a picture that carries one"

EDITORS: Final = "workflow"
"""The entry of what a picture carries that is in the editor's own format."""

STDIN: Final = "-"
"""The path that means standard input."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the editor's format is read: the classes that are known, and what a conversion depends on: the ``seed`` of
    random choices in prompts, and the time for %date%."""

    define: Define = comfyui_definition
    seed: int = 0
    now: datetime = field(default_factory=datetime.now)


def read_workflow(path: str | Path, reading: Reading | None = None) -> Workflow:
    """The workflow in the file ``path``, "-" for standard input; WorkflowError when it cannot be read or is not
    one."""
    return parse_workflow(read_file(path), named(path), reading)


def named(path: str | Path) -> str:
    """How messages call a path."""
    return "standard input" if str(path) == STDIN else str(path)


def read_file(path: str | Path) -> bytes:
    """The bytes of a workflow's file, or of standard input; WorkflowError."""
    try:
        if str(path) == STDIN:
            data = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with open(path, "rb") as file:
                data = file.read(_LARGEST + 1)
    except FileNotFoundError:
        raise WorkflowError(
            f"there is no such file in {Path(path).absolute().parent}",
            where=str(path),
            hint=_neighbours(path),
            code="no_file",
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise WorkflowError(f"the file cannot be read: {reason}", where=repr(str(path)), code="no_file") from None
    if len(data) > _LARGEST:
        raise WorkflowError(
            f"the file is larger than {_LARGEST // 2**20} MiB",
            where=named(path),
            hint="name a workflow",
            code="no_prompt",
        )
    return data


def parse_workflow(data: bytes | str, where: str = "workflow", reading: Reading | None = None) -> Workflow:
    """The workflow in ``data``, JSON text in either of ComfyUI's formats; WorkflowError says what it is instead."""
    with collector_paused():
        return workflow_from_document(_parse_json(data, where), where, reading)


def workflow_from_document(document: Any, where: str = "workflow", reading: Reading | None = None) -> Workflow:
    """The workflow in a parsed JSON ``document``; WorkflowError says what it is instead."""
    if not isinstance(document, dict):
        raise WorkflowError(
            f"this JSON is {_kind(document)}, not a workflow",
            where=where,
            hint="a workflow is an object: {nodes, links} as the editor saves it, or node id -> {class_type, inputs}",
            code="no_prompt",
        )
    extra: Mapping[str, Any] = {}
    if isinstance(document.get("prompt"), dict) and "class_type" not in document["prompt"]:
        # The body of a POST /prompt, as scripts save it.
        data = document.get("extra_data")
        found = data.get("extra_pnginfo") if isinstance(data, dict) else None
        extra = found if isinstance(found, dict) else {}
        document = document["prompt"]
    if isinstance(document.get("nodes"), list):
        reading = reading or Reading()
        found = to_api(document, reading.define, Circumstances(Random(reading.seed), reading.now), where)
        graph = parse_api(found.document, where)
        return Workflow(graph, found.document, where, {EDITORS: document}, found.remarks, found.packs)
    if document and not any(isinstance(value, dict) and "class_type" in value for value in document.values()):
        keys = ", ".join(repr(key) for key in list(document)[:5])
        raise WorkflowError(
            f"this JSON object is not a workflow: no entry has a class_type (it has {keys})",
            where=where,
            hint=_API_HINT,
            code="no_prompt",
        )
    return Workflow(graph=parse_api(document, where), document=document, where=where, extra=extra)


def _parse_json(data: bytes | str, where: str) -> Any:
    if not data.strip():
        raise WorkflowError("this file is empty, not JSON", where=where, hint=_API_HINT, code="no_prompt")
    if isinstance(data, bytes):
        if data.startswith(b"\x89PNG"):
            raise WorkflowError("this file is a PNG picture, not JSON", where=where, hint=_API_HINT, code="no_prompt")
        try:
            data = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise WorkflowError(
                f"this file is not JSON text: byte {error.start} is not UTF-8", where=where, code="no_prompt"
            ) from None
    try:
        return json.loads(data, object_pairs_hook=_object)
    except RecursionError:
        raise WorkflowError(
            "this JSON is nested too deeply to be a workflow",
            where=where,
            hint="a workflow needs about five levels; the file is damaged or hostile",
            code="no_prompt",
        ) from None
    except _DuplicateKey as error:
        raise WorkflowError(
            f"this JSON has the key {error.key!r} twice in one object",
            where=where,
            hint="rename one of the two nodes or inputs: readers disagree about which one counts",
            code="no_prompt",
        ) from None
    except json.JSONDecodeError as error:
        raise WorkflowError(
            f"this file is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            where=where,
            hint="the file may be truncated; save it again from the editor",
            code="no_prompt",
        ) from None
    except ValueError as error:  # an integer of more than 4,300 digits
        raise WorkflowError(f"this file is not JSON we can read: {error}", where=where, code="no_prompt") from None


def _neighbours(path: str | Path) -> str:
    """The workflows that lie where ``path`` was looked for."""
    try:
        names = sorted(found.name for found in Path(path).absolute().parent.glob("*.json"))[:1000]
    except OSError:
        names = []
    return did_you_mean(Path(path).name, names, what="workflows there")


class _DuplicateKey(Exception):
    def __init__(self, key: str) -> None:
        self.key = key


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise _DuplicateKey(key)
            seen.add(key)
    return found


def _kind(document: Any) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(document), "a number")

"""Bytes of a file -> Workflow: which kind of JSON it is, and a clear error when it is none we can run.

The API format and the editor's own are read, as files and out of pictures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from onnxflow.collector import collector_paused
from onnxflow.errors import WorkflowError, did_you_mean
from onnxflow.workflow.a1111 import read_a1111
from onnxflow.workflow.api import parse_api
from onnxflow.workflow.definitions import Define, comfyui_definition
from onnxflow.workflow.embedded import Embedded, embedded_texts
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
    """The workflow in ``data``: JSON text in either of ComfyUI's formats, a picture that carries it, or the text that
    A1111 writes into pictures; WorkflowError says what it is instead.

    What a picture was made from comes before what its editor showed: random choices are made there.
    """
    with collector_paused():
        carried = embedded_texts(data, where) if isinstance(data, bytes) else None
        if carried is not None:
            return _from_picture(carried, where, reading)
        if _is_a1111(data):
            return _from_a1111(data if isinstance(data, str) else data.decode("utf-8-sig"), where)
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


def _from_picture(carried: Embedded, where: str, reading: Reading | None) -> Workflow:
    """The workflow that a picture carries; WorkflowError when it carries none."""
    damage = (f"the {carried.kind} is damaged: {carried.damage}",) if carried.damage else ()
    if carried.prompt is not None:
        found = workflow_from_document(_parse_json(carried.prompt, where), where, reading)
        editors = _parse_json(carried.workflow, where) if carried.workflow is not None else None
        extra = {**found.extra, EDITORS: editors} if isinstance(editors, dict) else found.extra
        return replace(found, extra=extra, remarks=(*damage, *found.remarks))
    if carried.workflow is not None:
        found = workflow_from_document(_parse_json(carried.workflow, where), where, reading)
    elif carried.parameters is not None:
        found = _from_a1111(carried.parameters, where)
    else:
        reason = f" (it is damaged: {carried.damage})" if carried.damage else ""
        raise WorkflowError(
            f"this {carried.kind} carries no workflow{reason}",
            where=where,
            hint="editing, messengers and picture hosts remove it: get the file as ComfyUI or A1111 wrote it",
            code="no_prompt",
        )
    return replace(found, remarks=(*damage, *found.remarks))


def _is_a1111(data: bytes | str) -> bool:
    """Whether this is the text that A1111 writes: no JSON, and its last line is one of names and values."""
    start, end = (data[:64], data[-4096:]) if isinstance(data, str) else (data[:64].decode("latin-1"), data[-4096:])
    if start.lstrip("\ufeff\xef\xbb\xbf \r\n\t").startswith(("{", "[")):
        return False
    text = end if isinstance(end, str) else end.decode("latin-1")
    return "Steps: " in text and "Sampler: " in text


def _from_a1111(text: str, where: str) -> Workflow:
    found = read_a1111(text, where)
    return Workflow(parse_api(found.document, where), found.document, where, remarks=found.remarks)


def _parse_json(data: bytes | str, where: str) -> Any:
    if not data.strip():
        raise WorkflowError("this file is empty, not JSON", where=where, hint=_API_HINT, code="no_prompt")
    if isinstance(data, bytes):
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

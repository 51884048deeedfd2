"""Bytes of a file -> Workflow: which kind of JSON it is, and a clear error when it is none we can run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnxflow.collector import collector_paused
from onnxflow.errors import WorkflowError, did_you_mean
from onnxflow.workflow.api import parse_api
from onnxflow.workflow.workflow import Workflow

_LARGEST = 256 * 2**20
_API_HINT = "in ComfyUI's editor, open the workflow and use Export (API), then run that file"


def read_workflow(path: str | Path) -> Workflow:
    """The workflow in the file ``path``; WorkflowError when it cannot be read or is not one."""
    try:
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
            where=str(path),
            hint="name a workflow",
            code="no_prompt",
        )
    return parse_workflow(data, where=str(path))


def parse_workflow(data: bytes | str, where: str = "workflow") -> Workflow:
    """The workflow in ``data``, JSON text in ComfyUI's API format; WorkflowError says what it is instead."""
    with collector_paused():
        return workflow_from_document(_parse_json(data, where), where)


def workflow_from_document(document: Any, where: str = "workflow") -> Workflow:
    """The workflow in a parsed JSON ``document``; WorkflowError says what it is instead."""
    if not isinstance(document, dict):
        raise WorkflowError(
            f"this JSON is {_kind(document)}, not a workflow",
            where=where,
            hint="a workflow in the API format is an object: node id -> {class_type, inputs}",
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
        raise WorkflowError(
            "this file is in the editor's own format, which this version does not run yet",
            where=where,
            hint=_API_HINT,
            code="no_prompt",
        )
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

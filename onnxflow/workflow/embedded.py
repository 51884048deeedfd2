"""The workflows that pictures carry: PNG, WebP and JPEG, as ComfyUI, its custom nodes and A1111 write them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import WorkflowError
from onnxflow.workflow.carried import KEYS, Carried, Damaged, Room, Unbounded
from onnxflow.workflow.jpeg_text import jpeg_texts
from onnxflow.workflow.png_text import png_texts
from onnxflow.workflow.webp_text import webp_texts


@dataclass(frozen=True, slots=True)
class Embedded:
    """What a picture of a ``kind`` ("PNG picture", "WebP picture", "JPEG picture") carries, each None if it does not.

    ``prompt`` is JSON text in the API format, ``workflow`` JSON text in the editor's, ``parameters`` A1111's text; none
    of them was parsed. ``damage`` is empty, or says what is wrong with the file ("it is cut off after 512 bytes, before
    its end"): texts may have been lost.
    """

    kind: str
    prompt: str | None = None
    workflow: str | None = None
    parameters: str | None = None
    damage: str = ""


def embedded_texts(data: bytes, where: str) -> Embedded | None:
    """The texts in a picture's bytes, the last of each kind; None when ``data`` is no PNG, WebP or JPEG file.

    A damaged file gives what can be read of it. WorkflowError, naming ``where``, when it has more than 64 MiB of texts
    or 10,000 parts: at most that is inflated and visited, whatever the file claims.
    """
    for kind, is_one, texts in _KINDS:
        if is_one(data):
            return _read(kind, texts(memoryview(data)), where)
    return None


def _read(kind: str, carried: Iterator[Carried], where: str) -> Embedded:
    found: dict[str, str] = {}
    damage = ""
    room = Room()
    try:
        while True:
            try:
                text = next(carried, None)
                if text is None:
                    break
                found[text.key] = text.read(room) or found.get(text.key, "")
            except Damaged as error:
                # A text that does not inflate ends nothing; a file that is cut off has no next text.
                damage = damage or str(error)
    except Unbounded as error:
        raise WorkflowError(
            f"this {kind} is not read to its end: {error}",
            where=where,
            hint="the file is damaged or hostile; get the workflow as a JSON file",
            code="no_prompt",
        ) from None
    prompt, workflow, parameters = (found.get(key) or None for key in KEYS)
    return Embedded(kind, prompt, workflow, parameters, damage)


_KINDS: Final[tuple[tuple[str, Callable[[bytes], bool], Callable[[memoryview], Iterator[Carried]]], ...]] = (
    ("PNG picture", lambda data: data.startswith(b"\x89PNG"), png_texts),
    ("WebP picture", lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP", webp_texts),
    ("JPEG picture", lambda data: data.startswith(b"\xff\xd8\xff"), jpeg_texts),
)

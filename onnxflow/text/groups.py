"""Segments of a prompt -> groups of tokens: what the chunks keep together, with one weight each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import InputError
from onnxflow.text.prompt import Segment
from onnxflow.text.tokenizer import Tokenizer

REFERENCE: Final = "embedding:"
"""What a reference to a textual-inversion embedding starts with; it stands first or after a space or newline."""

_BEFORE_REFERENCE = re.compile(rf"[ \n](?={REFERENCE})")


@dataclass(frozen=True, slots=True)
class Group:
    """Tokens that share a weight and stay in one chunk if they are few."""

    tokens: tuple[int, ...]
    weight: float


def groups_of(segments: Sequence[Segment], tokenizer: Tokenizer) -> tuple[Group, ...]:
    """The tokens of ``segments``: one group a segment, InputError when a segment refers to an embedding."""
    found: list[Group] = []
    for segment in segments:
        for piece in _BEFORE_REFERENCE.split(segment.text):
            name = reference(piece)
            if name:
                raise InputError(
                    f"the prompt refers to the textual-inversion embedding {name!r}, which this version cannot read",
                    hint=f"take '{REFERENCE}{name}' out of the prompt",
                )
            if piece:
                found.append(Group(tuple(tokenizer.encode(piece)), segment.weight))
    return tuple(found)


def reference(piece: str) -> str:
    """The name of the embedding that ``piece`` begins with, or nothing when it begins with none."""
    if not piece.startswith(REFERENCE):
        return ""
    return next(iter(piece[len(REFERENCE) :].split()), "")

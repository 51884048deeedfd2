"""Segments of a prompt -> groups of tokens: what the chunks keep together, with one weight each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import InputError, shown
from onnxflow.text.prompt import Segment
from onnxflow.text.tokenizer import Tokenizer

REFERENCE: Final = "embedding:"
"""What a reference to a textual-inversion embedding starts with; it stands first or after a space or newline."""

WEIGHT_HINT: Final = "weights between 0 and 2 are usual, as in (cat:1.2); each pair of brackets multiplies by 1.1"

_LARGEST = 3.4028234663852886e38  # of the 32-bit numbers
_BEFORE_REFERENCE = re.compile(rf"[ \n](?={REFERENCE})")


@dataclass(frozen=True, slots=True)
class Group:
    """Tokens that share a weight and stay in one chunk if they are few."""

    tokens: tuple[int, ...]
    weight: float


def check(segments: Iterable[Segment]) -> None:
    """InputError when no model can encode ``segments``: an embedding, or a weight that is no finite 32-bit number."""
    for segment in segments:
        if segment.text.strip() and not abs(segment.weight) <= _LARGEST:
            raise InputError(
                f"the prompt has the weight {segment.weight}; weights must be finite 32-bit numbers", hint=WEIGHT_HINT
            )
        _pieces(segment.text)


def groups_of(segments: Iterable[Segment], tokenizer: Tokenizer) -> tuple[Group, ...]:
    """The tokens of ``segments``: one group a segment, InputError when a segment refers to an embedding."""
    return tuple(
        Group(tuple(tokenizer.encode(piece)), segment.weight)
        for segment in segments
        for piece in _pieces(segment.text)
        if piece
    )


def _pieces(text: str) -> list[str]:
    """The parts of a segment that may begin with a reference; InputError when one does."""
    pieces = _BEFORE_REFERENCE.split(text)
    for piece in pieces:
        name = reference(piece)
        if name:
            raise InputError(
                f"the prompt refers to the textual-inversion embedding {shown(name)}, which this version cannot read",
                hint=f"take {shown(REFERENCE + name)} out of the prompt",
            )
    return pieces


def reference(piece: str) -> str:
    """The name of the embedding that ``piece`` begins with, or nothing when it begins with none."""
    if not piece.startswith(REFERENCE):
        return ""
    return next(iter(piece[len(REFERENCE) :].split()), "")

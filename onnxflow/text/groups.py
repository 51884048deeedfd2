"""Segments of a prompt -> groups of tokens: what the chunks keep together, with one weight each."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import InputError
from onnxflow.text.embeddings import REFERENCE, Embeddings, Vector, missing, reference, rest
from onnxflow.text.prompt import Segment
from onnxflow.text.tokenizer import Tokenizer

WEIGHT_HINT: Final = "weights between 0 and 2 are usual, as in (cat:1.2); each pair of brackets multiplies by 1.1"

_LARGEST = 3.4028234663852886e38  # of the 32-bit numbers
_BEFORE_REFERENCE = re.compile(rf"[ \n](?={REFERENCE})")

Token = int | Vector


@dataclass(frozen=True, slots=True)
class Group:
    """Tokens that share a weight and stay in one chunk if they are few."""

    tokens: tuple[Token, ...]
    weight: float


def check(segments: Iterable[Segment], embeddings: Embeddings) -> None:
    """InputError when no model can encode ``segments``: they have a weight that is no finite 32-bit number, or refer to
    an embedding that does not exist."""
    for segment in segments:
        if segment.text.strip() and not abs(segment.weight) <= _LARGEST:
            raise InputError(
                f"the prompt has the weight {segment.weight}; weights must be finite 32-bit numbers", hint=WEIGHT_HINT
            )
        for piece in _pieces(segment.text):
            name, _ = _split(piece, embeddings)
            if name and not embeddings.exists(name):
                raise missing(name, embeddings.missing_hint(name))


def groups_of(segments: Iterable[Segment], tokenizer: Tokenizer, embeddings: Embeddings) -> tuple[Group, ...]:
    """The tokens of ``segments``: one group a segment, and one for each embedding that it refers to. A reference to one
    that does not exist adds nothing, as in ComfyUI: ``check`` finds those."""
    groups: list[Group] = []
    for segment in segments:
        for piece in _pieces(segment.text):
            name, text = _split(piece, embeddings)
            if name and embeddings.exists(name):
                vectors = tuple(Vector(name, row) for row in range(len(embeddings.vectors(name))))
                groups.append(Group(vectors, segment.weight))
            if text:
                groups.append(Group(tuple(tokenizer.encode(text)), segment.weight))
    return tuple(groups)


def _pieces(text: str) -> list[str]:
    """The parts of a segment that may begin with a reference."""
    return [piece for piece in _BEFORE_REFERENCE.split(text) if piece]


def _split(piece: str, embeddings: Embeddings) -> tuple[str, str]:
    """The embedding that a piece refers to, or nothing, and the text besides. Commas around a name are text, unless an
    embedding has them in its name."""
    name = reference(piece)
    if not name:
        return "", piece
    bare, text = name.strip(","), rest(piece)
    if bare in ("", name) or embeddings.exists(name):
        return name, text
    return bare, f"{name[len(bare) :]} {text}"

"""Groups of tokens -> chunks of the length a text encoder reads, cut where ComfyUI cuts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import ModelError
from onnxflow.text.groups import Group, Token

LARGE_GROUP: Final = 8
"""Groups of at least this many tokens are cut at the end of a chunk; smaller ones move to the next."""


@dataclass(frozen=True, slots=True)
class ChunkShape:
    """How a text encoder wants its chunks: the ids around the tokens, and how many tokens in all."""

    start: int
    end: int
    pad: int
    length: int = 77

    def __post_init__(self) -> None:
        if self.length < 3:
            raise ModelError(f"a text encoder for {self.length} tokens holds no prompt; at least 3 are needed")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One input of the text encoder: ``length`` tokens, their weights, and the group of each (from 1; 0: none)."""

    tokens: tuple[Token, ...]
    weights: tuple[float, ...]
    groups: tuple[int, ...]

    def end_index(self, end: int) -> int:
        """The place of the first end token, where the pooled output is taken."""
        return self.tokens.index(end)


def chunks_of(groups: Iterable[Group], shape: ChunkShape) -> tuple[Chunk, ...]:
    """``groups`` in order in as many chunks as they need, at least one: start, tokens, end, padding."""
    room = shape.length - 2
    chunks: list[Chunk] = []
    tokens: list[Token] = []
    weights: list[float] = []
    numbers: list[int] = []

    def close() -> None:
        spare = room - len(tokens)
        chunks.append(
            Chunk(
                (shape.start, *tokens, shape.end, *[shape.pad] * spare),
                (1.0, *weights, 1.0, *[1.0] * spare),
                (0, *numbers, 0, *[0] * spare),
            )
        )
        for part in (tokens, weights, numbers):
            part.clear()

    for number, group in enumerate(groups, 1):
        taken, count = 0, len(group.tokens)
        while taken < count:
            free = room - len(tokens)
            left = count - taken
            if left > free and count < LARGE_GROUP and left <= room:
                close()
                continue
            piece = group.tokens[taken : taken + free]
            tokens += piece
            weights += [group.weight] * len(piece)
            numbers += [number] * len(piece)
            taken += len(piece)
            if taken < count:
                close()
    close()
    return tuple(chunks)


def empty_chunk(shape: ChunkShape) -> Chunk:
    """The chunk of the empty prompt, from which weights are interpolated."""
    return chunks_of((), shape)[0]

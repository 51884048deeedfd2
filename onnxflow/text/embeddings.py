"""Textual inversion: a prompt may refer to vectors that stand where tokens would (Gal et al. 2022, "An Image is Worth
One Word", section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from onnxflow.errors import InputError, shown
from onnxflow.values import Array

REFERENCE: Final = "embedding:"
"""What a reference starts with; it stands first or after a space or newline."""


class Embeddings(Protocol):
    """The embeddings that prompts may refer to."""

    def exists(self, name: str) -> bool:
        """Whether there is an embedding of this name."""
        ...

    def vectors(self, name: str) -> Array:
        """The vectors [n, dim] of an embedding that exists; ModelError when its file cannot be used."""
        ...

    def missing_hint(self, name: str) -> str:
        """What to do about a name that none has."""
        ...


class NoEmbeddings:
    """There are none."""

    def exists(self, name: str) -> bool:
        return False

    def vectors(self, name: str) -> Array:
        raise missing(name, self.missing_hint(name))

    def missing_hint(self, name: str) -> str:
        return f"take {shown(REFERENCE + name)} out of the prompt"


NO_EMBEDDINGS: Final = NoEmbeddings()


@dataclass(frozen=True, slots=True)
class Vector:
    """One vector of an embedding in the place of a token: row ``row`` of the embedding ``name``."""

    name: str
    row: int


def reference(piece: str) -> str:
    """The name that ``piece`` refers to, or nothing when it begins with no reference."""
    if not piece.startswith(REFERENCE):
        return ""
    return next(iter(piece[len(REFERENCE) :].split()), "")


def rest(piece: str) -> str:
    """What of a piece that begins with a reference is not the name: its other words with single spaces."""
    return " ".join(piece[len(REFERENCE) :].split()[1:])


def missing(name: str, hint: str) -> InputError:
    """The error for a reference to an embedding that is not there."""
    return InputError(
        f"the prompt refers to the textual-inversion embedding {shown(name)}, which is not there", hint=hint
    )

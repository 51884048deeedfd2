"""Clip skip: which layer of a text encoder is read instead of the family's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LastLayer:
    """The layer to read, counted from the end: -1 is the last one."""

    layer: int


def layer_of(patches: Iterable[Any]) -> int | None:
    """The layer that the last LastLayer among ``patches`` says, or None."""
    found = [patch.layer for patch in patches if isinstance(patch, LastLayer)]
    return found[-1] if found else None

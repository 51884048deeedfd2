"""Which of the models there are does a saved name mean? Workflows are made elsewhere, and their names are older."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onnxflow.models import file_guard
from onnxflow.models.listing import CHECKPOINT_SUFFIXES, SAFE_SUFFIXES, What, models_below, what_is, without_suffix

_GENERIC: Final = ("diffusion_pytorch_model", "model", "pytorch_model", "clip", "vae", "unet")


@dataclass(frozen=True, slots=True)
class Found:
    """A model: its name below its folder, where it lies, and what it is."""

    name: str
    path: Path
    what: What


def exact(folders: Sequence[Path], name: str) -> Found | None:
    """The model of exactly this plain name, in the first folder that has it."""
    if not file_guard.is_plain(name) or any(part.startswith(".") for part in name.split("/")):
        return None
    for folder in folders:
        what = what_is(folder / name)
        if what is not None:
            return Found(name, folder / name, what)
    return None


def same_stem(folders: Sequence[Path], name: str) -> Found | None:
    """The model of this plain name, or of this name with another suffix or none: a bundle or Diffusers folder before a
    file."""
    found = exact(folders, name)
    if found is not None:
        return found
    stem = without_suffix(name)
    for candidate in (stem, *(stem + suffix for suffix in SAFE_SUFFIXES)):
        if (found := exact(folders, candidate)) is not None:
            return found
    return None


def alike(folders: Sequence[Path], name: str) -> list[Found]:
    """The models that a plain name may mean where none has it: those of its name or stem in letters of another case;
    else, if it was written with a suffix, those of its last part alone, in whatever folder. Each path once."""
    listed = list(every(folders))
    wanted, stem = _folded(name), _folded(without_suffix(name))
    rules: tuple[Callable[[Found], bool], ...] = (
        lambda found: _folded(found.name) == wanted,
        lambda found: _folded(without_suffix(found.name)) == stem,
        lambda found: _says_enough(name) and _last(_folded(without_suffix(found.name))) == _last(stem),
    )
    for matches in rules:
        chosen = [found for found in listed if matches(found)]
        if chosen:
            return chosen
    return []


def every(folders: Sequence[Path]) -> Iterator[Found]:
    """Every model below the folders by its name, the first folder's where two have one of that name."""
    seen: set[str] = set()
    for folder in folders:
        for name, what in models_below(folder):
            if name not in seen:
                seen.add(name)
                yield Found(name, folder / name, what)


def pickled(folders: Sequence[Path], name: str) -> Path | None:
    """The file of this plain name that is no .safetensors and lies there all the same."""
    for folder in folders:
        path = folder / name
        suffix = path.suffix.lower()
        if suffix in CHECKPOINT_SUFFIXES and suffix not in SAFE_SUFFIXES and os.path.isfile(path):
            return path
    return None


def _says_enough(name: str) -> bool:
    """Whether the last part of a name is a file's, and one that not every model's file has."""
    stem = without_suffix(name)
    return stem != name and _last(stem).lower() not in _GENERIC


def _folded(name: str) -> str:
    """A name without the difference of cases, and of letters in one piece or in several (a file copied from macOS)."""
    return unicodedata.normalize("NFC", name).lower()


def _last(name: str) -> str:
    return name.rpartition("/")[2]

"""Textual-inversion embeddings: the vectors that the words ``embedding:name`` of a prompt stand for, in files below
``embeddings`` in the model folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import ModelError, did_you_mean, shown
from onnxflow.models import file_guard
from onnxflow.models.tensors import TensorFile, open_tensors

FOLDER: Final = "embeddings"
SUFFIXES: Final = (".safetensors", ".sft", ".pt", ".bin")
SAFE_SUFFIXES: Final = SUFFIXES[:2]

KEYS: Final = {
    ("sd1", "text_encoder"): "clip_l",
    ("sd2", "text_encoder"): "clip_h",
    ("sdxl", "text_encoder"): "clip_l",
    ("sdxl", "text_encoder_2"): "clip_g",
    ("sdxl-refiner", "text_encoder_2"): "clip_g",
}
"""What a file with vectors for several text encoders calls those of a family's component."""


@dataclass(frozen=True, slots=True)
class EmbeddingStore:
    """The embeddings below ``embeddings`` in each of ``roots``, in order of precedence.

    ``name`` may stand for the file ``name``, ``name.safetensors`` and so on, in ``embeddings`` or any folder below it,
    as in ComfyUI; if there is none, for one of that name in other letters' case. Links in these folders are followed:
    the user made them. Nothing is cached.
    """

    roots: tuple[Path, ...] = ()

    def find(self, name: str) -> Path | None:
        """The file that prompts call ``name``, or None; names that would leave their folder are nobody's."""
        try:
            parts = file_guard.split(name)
        except ValueError:
            return None
        if not parts:
            return None
        folders = list(self._folders())
        for folder in folders:
            path = folder.joinpath(*parts)
            for candidate in (path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES)):
                if candidate.suffix.lower() in SUFFIXES and os.path.isfile(candidate):
                    return candidate
        wanted = "/".join(parts).lower()
        for folder in folders:
            for file in _files(folder, len(parts)):
                spelled = file.relative_to(folder).as_posix().lower()
                if wanted in (spelled, os.path.splitext(spelled)[0]):
                    return file
        return None

    def names(self) -> list[str]:
        """The names of all embeddings, sorted: their paths below ``embeddings`` without the suffix."""
        found = set()
        for root in self.roots:
            base = root / FOLDER
            for folder in _below(base):
                found |= {os.path.splitext(file.relative_to(base).as_posix())[0] for file in _files(folder, 1)}
        return sorted(found)

    def state(self) -> str:
        """A text that changes when a file is added, removed or written."""
        lines = []
        for folder in self._folders():
            for file in _files(folder, 1):
                status = file.stat()
                lines.append(f"{file}:{status.st_size}:{status.st_mtime_ns}")
        return "\n".join(lines)

    def missing_hint(self, name: str) -> str:
        """What to do about a name that none has: the nearest ones, and where they are looked for."""
        searched = ", ".join(str(root / FOLDER) for root in self.roots) or "no model folder is set, see --models"
        known = self.names()
        nearest = did_you_mean(name, known, what="embeddings") if known else "there are no embeddings"
        return f"{nearest} (searched: {searched}); or take {shown(f'embedding:{name}')} out of the prompt"

    def _folders(self) -> Iterator[Path]:
        for root in self.roots:
            yield from _below(root / FOLDER)


def read_embedding(path: Path, key: str, width: int | None = None) -> NDArray[np.float32]:
    """The vectors [n, dim] for the text encoder that the file calls ``key``, read-only.

    Without that key, those of the file's only tensor, or of the only one that is ``width`` wide. ModelError when the
    file is damaged, holds something else or is a pickle; what is ``width`` wide is not checked here.
    """
    if path.suffix.lower() not in SAFE_SUFFIXES:
        raise ModelError(
            f"the embedding {path.name} is a pickle, which can run code when it is read",
            where=str(path),
            hint="use a .safetensors file of it; there are converters, and most sites offer one",
        )
    file = open_tensors(path)
    name = _tensor(file, key, width)
    values = np.atleast_2d(np.asarray(file.read(name), np.float32))
    if values.ndim != 2 or not values.size:
        raise ModelError(
            f"tensor {shown(name)} of the embedding has the shape {list(values.shape)}, expected [vectors, width]",
            where=str(path),
            hint="the file is no textual-inversion embedding: use another",
        )
    if not np.isfinite(values).all():
        raise ModelError("the embedding holds NaN or infinity", where=str(path), hint="use another file: it is damaged")
    values.flags.writeable = False
    return values


def _tensor(file: TensorFile, key: str, width: int | None) -> str:
    """The name of the tensor that holds the vectors."""
    if key in file.tensors:
        return key
    names = [name for name, info in file.tensors.items() if len(info.shape) in (1, 2)]
    fitting = [name for name in names if file.tensors[name].shape[-1] == width] if len(names) > 1 else names
    if len(fitting) == 1:
        return fitting[0]
    raise ModelError(
        f"the embedding has no tensor {shown(key)}, and {len(fitting)} others that could be meant:"
        f" {shown(list(file.tensors))}",
        where=str(file.path),
        hint="the file is no textual-inversion embedding, or one for models of another family: use another",
    )


def _below(folder: Path) -> Iterator[Path]:
    """``folder`` and all folders below it, each once, however links lead around."""
    waiting = [folder]
    visited: set[tuple[int, int]] = set()
    while waiting:
        current = waiting.pop(0)
        try:
            status = current.stat()
            with os.scandir(current) as entries:
                inner = sorted(e.name for e in entries if not e.name.startswith(".") and os.path.isdir(e.path))
        except OSError:
            continue  # not there, not ours to read, or a loop of links
        if (status.st_dev, status.st_ino) not in visited:
            visited.add((status.st_dev, status.st_ino))
            yield current
            waiting += [current / name for name in inner]


def _files(folder: Path, depth: int) -> Sequence[Path]:
    """The embeddings whose path below ``folder`` has ``depth`` parts, sorted."""
    pattern = "/".join(["*"] * depth)
    return sorted(path for path in folder.glob(pattern) if path.suffix.lower() in SUFFIXES and path.is_file())

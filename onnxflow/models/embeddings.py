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

SUFFIXES: Final = (".safetensors", ".sft", ".pt", ".bin")
SAFE_SUFFIXES: Final = SUFFIXES[:2]
_BUNDLED: Final = "bundle_emb."  # what tools put before an embedding's name when they save it with a LoRA

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
    """The embeddings below each of ``folders``, in order of precedence.

    ``name`` may stand for the file ``name``, ``name.safetensors`` and so on, in such a folder or any below it,
    as in ComfyUI; if there is none, for one of that name in other letters' case. Links in these folders are followed:
    the user made them. Nothing is cached.
    """

    folders: tuple[Path, ...] = ()

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
        for folder in folders:
            if (file := _spelled(folder, parts)) is not None:
                return file
        return None

    def names(self) -> list[str]:
        """The names of all embeddings, sorted: their paths below their folder without the suffix."""
        found = set()
        for base in self.folders:
            for folder in _below(base):
                found |= {os.path.splitext(file.relative_to(base).as_posix())[0] for file in _files(folder)}
        return sorted(found)

    def state(self) -> str:
        """A text that changes when a file is added, removed or written."""
        lines = []
        for folder in self._folders():
            for file in _files(folder):
                try:
                    status = file.stat()
                except OSError:  # removed a moment ago, or not ours to read
                    continue
                lines.append(f"{file}:{status.st_size}:{status.st_mtime_ns}")
        return "\n".join(lines)

    def missing_hint(self, name: str) -> str:
        """What to do about a name that none has: the nearest ones, and where they are looked for."""
        searched = ", ".join(map(str, self.folders)) or "no model folder is set, see --models"
        known = self.names()
        nearest = did_you_mean(name, known, what="embeddings") if known else "there are no embeddings"
        return f"{nearest} (searched: {searched}); or take {shown(f'embedding:{name}')} out of the prompt"

    def _folders(self) -> Iterator[Path]:
        for folder in self.folders:
            yield from _below(folder)


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
    names = _bundled(file, key) or [_tensor(file, key, width)]
    parts = [_vectors(file, name) for name in names]
    if len({part.shape[1] for part in parts}) > 1:
        raise ModelError(
            f"the embedding's tensors {shown(names)} are {shown([part.shape[1] for part in parts])} wide",
            where=str(path),
            hint="the file is damaged: use another",
        )
    values: NDArray[np.float32] = np.concatenate(parts)
    if not np.isfinite(values).all():
        raise ModelError("the embedding holds NaN or infinity", where=str(path), hint="use another file: it is damaged")
    values.flags.writeable = False
    return values


def _bundled(file: TensorFile, key: str) -> list[str]:
    """The tensors of an embedding that lies in a LoRA's file, if there are any: their vectors follow each other."""
    if key in file.tensors:
        return []
    inside = [name for name in file.tensors if name.startswith(_BUNDLED)]
    whole = [name for name in inside if name.endswith(".string_to_param.*")]
    return whole or [name for name in inside if name.endswith(f".{key}")]


def _vectors(file: TensorFile, name: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # of what float32 cannot hold infinity is made, which is refused later
        values = np.atleast_2d(np.asarray(file.read(name), np.float32))
    if values.ndim != 2 or not values.size:
        raise ModelError(
            f"tensor {shown(name)} of the embedding has the shape {list(values.shape)}, expected [vectors, width]",
            where=str(file.path),
            hint="the file is no textual-inversion embedding: use another",
        )
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
        f"the embedding has no tensor {shown(key)}, and "
        + (f"{len(fitting)} others that could be meant" if fitting else "none that could be meant instead")
        + f": it has {shown({name: list(info.shape) for name, info in file.tensors.items()})}",
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


def _spelled(folder: Path, parts: Sequence[str]) -> Path | None:
    """The first embedding below ``folder`` whose path has these parts in letters of any case, its suffix left out or
    not."""
    current = [folder]
    for part in parts[:-1]:
        inner: dict[tuple[int, int], Path] = {}  # each once, or links would multiply them with every part
        for path in current:
            for entry in _entries(path):
                if entry.name.lower() == part.lower() and os.path.isdir(entry.path):
                    status = os.stat(entry.path)
                    inner.setdefault((status.st_dev, status.st_ino), path / entry.name)
        current = sorted(inner.values())
    wanted = parts[-1].lower()
    for path in current:
        for file in _files(path):
            if wanted in (file.name.lower(), file.stem.lower()):
                return file
    return None


def _files(folder: Path) -> Sequence[Path]:
    """The embeddings in ``folder`` itself, sorted."""
    names = (entry.name for entry in _entries(folder) if os.path.isfile(entry.path))
    return [folder / name for name in sorted(names) if os.path.splitext(name)[1].lower() in SUFFIXES]


def _entries(folder: Path) -> Sequence[os.DirEntry[str]]:
    """What is in ``folder``; nothing when it is not ours to read."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []

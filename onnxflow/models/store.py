"""The models there are: the embedded one, and those in the user's model folders under ComfyUI's folder names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onnxflow.errors import ModelError, did_you_mean, shown
from onnxflow.models import file_guard
from onnxflow.models.bundle import Bundle, is_bundle, open_bundle

EMBEDDED_NAME = "onnxflow-tiny"
CHECKPOINT_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


def embedded_folder() -> Path:
    """Where the embedded model lies inside the installed package."""
    return Path(__file__).resolve().parent.parent / "assets" / "tiny"


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Model folders in order of precedence; below each, ComfyUI's folder names (``checkpoints`` and so on).

    A bundle's name is its path below ``checkpoints`` with forward slashes. Links in these folders are followed: the
    user made them. Names come from workflows: none is looked up that would leave ``checkpoints``. Nothing is cached: a
    model put there while the program runs is found at the next question.
    """

    roots: tuple[Path, ...] = ()

    def checkpoints(self) -> list[str]:
        """The names of all models with text encoder, network and VAE, sorted; the embedded one comes first."""
        names = {name for root in self.roots for name in _bundles(root / "checkpoints")}
        return [EMBEDDED_NAME, *sorted(names - {EMBEDDED_NAME})]

    def resolve(self, name: str) -> str | None:
        r"""The model that a saved workflow calls ``name``, or None.

        Without a model of exactly this name, ``sub\mine`` and ``sub/mine.safetensors`` (any suffix of a checkpoint, in
        any case) mean the bundle ``sub/mine``, which was exported from that file.
        """
        try:
            plain = "/".join(file_guard.split(name))
        except ValueError:
            return None
        return next((found for found in (plain, without_suffix(plain)) if self._folder(found) is not None), None)

    def checkpoint(self, name: str) -> Bundle:
        """The model that ``resolve`` finds; ModelError with the nearest names when there is none."""
        found = self.resolve(name)
        folder = self._folder(found) if found is not None else None
        if folder is None:
            raise ModelError(f"there is no model {shown(name)}", hint=self.missing_hint(name))
        return open_bundle(folder)

    def missing_hint(self, name: str) -> str:
        """What to do about the missing model ``name``: the nearest names, or how to export the file that lies there."""
        try:
            parts = file_guard.split(name)
        except ValueError as reason:
            return f"the name {reason}: use one relative to checkpoints/, such as {EMBEDDED_NAME!r}"
        for root in self.roots:
            file = root.joinpath("checkpoints", *parts)
            if file.suffix.lower() in CHECKPOINT_SUFFIXES and os.path.isfile(file):
                return (
                    f"{file} is a checkpoint file; this version runs exported models: export its Diffusers folder "
                    f"with `onnxflow export FOLDER -o {file.with_suffix('')}`"
                )
        searched = ", ".join(str(root / "checkpoints") for root in self.roots) or "no model folder is set, see --models"
        nearest = did_you_mean(without_suffix("/".join(parts)), self.checkpoints(), what="models")
        return f"{nearest} (searched: {searched})"

    def _folder(self, name: str) -> Path | None:
        """The bundle of exactly this plain name: the user's before the embedded one."""
        if not file_guard.is_plain(name):
            return None
        for root in self.roots:
            folder = root / "checkpoints" / name
            if is_bundle(folder):
                return folder
        return embedded_folder() if name == EMBEDDED_NAME else None


def without_suffix(name: str) -> str:
    """``name`` without the suffix of a checkpoint file, if it has one."""
    return next((name[: -len(s)] for s in CHECKPOINT_SUFFIXES if name.lower().endswith(s)), name)


def _bundles(folder: Path) -> Iterator[str]:
    """The name of every bundle below ``folder``; every folder is entered once, by its own path before any link to it.

    What lies inside a bundle belongs to it. Names that a workflow could not use for a bundle are left out.
    """
    visited: set[tuple[int, int]] = set()
    real, links = [folder], list[Path]()
    while real or links:
        current = (real or links).pop(0)
        try:
            status = current.stat()
            with os.scandir(current) as entries:
                below = sorted((entry.name, entry.is_symlink()) for entry in entries if os.path.isdir(entry.path))
        except OSError:
            continue  # not there, not ours to read, or a loop of links
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        for entry, is_link in below:
            path = current / entry
            if not is_bundle(path):
                (links if is_link else real).append(path)
            elif file_guard.is_plain(name := path.relative_to(folder).as_posix()):
                yield name

"""The models there are: the embedded one, and those in the user's model folders under ComfyUI's folder names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from onnxflow.errors import ModelError, did_you_mean
from onnxflow.models.bundle import Bundle, is_bundle, open_bundle

EMBEDDED_NAME = "onnxflow-tiny"
CHECKPOINT_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")


def embedded_folder() -> Path:
    """Where the embedded model lies inside the installed package."""
    return Path(__file__).resolve().parent.parent / "assets" / "tiny"


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Model folders in order of precedence; below each, ComfyUI's folder names (``checkpoints`` and so on).

    A bundle's name is its path below ``checkpoints`` with forward slashes. Nothing is cached: a model put there while
    the program runs is found at the next question.
    """

    roots: tuple[Path, ...] = ()

    def checkpoints(self) -> list[str]:
        """The names of all models with text encoder, network and VAE, sorted; the embedded one comes first."""
        names = {name for root in self.roots for name, _ in _bundles(root / "checkpoints")}
        return [EMBEDDED_NAME, *sorted(names - {EMBEDDED_NAME})]

    def checkpoint(self, name: str) -> Bundle:
        """The model called ``name``; ModelError with the nearest names when there is none."""
        for root in self.roots:
            for found, folder in _bundles(root / "checkpoints"):
                if found == name:
                    return open_bundle(folder)
        if name == EMBEDDED_NAME:
            return open_bundle(embedded_folder())
        raise ModelError(f"there is no model {name!r}", hint=self.missing_hint(name))

    def missing_hint(self, name: str) -> str:
        """What to do about the missing model ``name``: the nearest names, or how to export the file that lies there."""
        for root in self.roots:
            file = root / "checkpoints" / name.replace("\\", "/")
            if file.suffix.lower() in CHECKPOINT_SUFFIXES and ".." not in file.parts and file.is_file():
                return (
                    f"{file} is a checkpoint file; this version runs exported models: export its Diffusers folder "
                    f"with `onnxflow export FOLDER -o {file.with_suffix('')}`"
                )
        stem = (
            name.replace("\\", "/").removesuffix(Path(name).suffix)
            if name.lower().endswith(CHECKPOINT_SUFFIXES)
            else name
        )
        searched = ", ".join(str(root / "checkpoints") for root in self.roots) or "no model folder is set, see --models"
        return f"{did_you_mean(stem, self.checkpoints(), what='models')} (searched: {searched})"


def _bundles(folder: Path) -> Iterator[tuple[str, Path]]:
    """Name and folder of every bundle below ``folder``, in sorted order."""
    for current, folders, _ in os.walk(folder):
        folders.sort()
        here = Path(current)
        if is_bundle(here) and here != folder:
            yield here.relative_to(folder).as_posix(), here
            folders.clear()  # what lies inside a bundle belongs to it

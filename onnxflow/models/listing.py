"""What models lie below a folder: exported bundles, .safetensors files, Diffusers folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, NamedTuple

from onnxflow.models import file_guard
from onnxflow.models.bundle import is_bundle
from onnxflow.models.pipeline.index import INDEX

What = Literal["bundle", "file", "diffusers"]
BUNDLE: Final = "bundle"
FILE: Final = "file"
PIPELINE: Final = "diffusers"

CHECKPOINT_SUFFIXES: Final = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")
SAFE_SUFFIXES: Final = CHECKPOINT_SUFFIXES[:2]


class Listed(NamedTuple):
    """A model's name, its path below its folder with forward slashes, and what it is."""

    name: str
    what: What


def what_is(path: Path) -> What | None:
    """What model a path is, None for none; nothing is opened."""
    if is_bundle(path):
        return BUNDLE
    if os.path.isfile(path / INDEX):
        return PIPELINE
    return FILE if path.suffix.lower() in SAFE_SUFFIXES and os.path.isfile(path) else None


def models_below(folder: Path) -> Iterator[Listed]:
    """Every model below ``folder``; every folder is entered once, by its own path before any link to it.

    What lies inside a bundle or a Diffusers folder belongs to it. Names that a workflow could not use are left out, and
    what begins with a dot: an export or a removal that was killed leaves such folders.
    """
    visited: set[tuple[int, int]] = set()
    real, links = [folder], list[Path]()
    while real or links:
        current = (real or links).pop(0)
        try:
            status = current.stat()
            with os.scandir(current) as entries:
                below = sorted((e.name, e.is_symlink(), os.path.isdir(e.path)) for e in entries if e.name[0] != ".")
        except OSError:
            continue  # not there, not ours to read, or a loop of links
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        for name, is_link, is_folder in below:
            path = current / name
            what = what_is(path) if is_folder or name.lower().endswith(SAFE_SUFFIXES) else None
            if what is None and is_folder:
                (links if is_link else real).append(path)
            elif what is not None and file_guard.is_plain(found := path.relative_to(folder).as_posix()):
                yield Listed(found, what)


def without_suffix(name: str) -> str:
    """``name`` without the suffix of a checkpoint file, if it has one."""
    return next((name[: -len(s)] for s in CHECKPOINT_SUFFIXES if name.lower().endswith(s)), name)

"""What a workflow may touch on the disk: the folders its file names are relative to, and the models."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from onnxflow.models.store import ModelStore


def example_folder() -> Path:
    """The pictures that come with the package, for workflows that come with it."""
    return Path(__file__).resolve().parent.parent / "assets" / "input"


@dataclass(frozen=True, slots=True)
class Folders:
    """The three roots that file names in a workflow are relative to.

    What the input folder does not have is looked for in ``examples``.
    """

    input: Path
    output: Path
    temp: Path
    examples: Path = field(default_factory=example_folder)


@dataclass(frozen=True, slots=True)
class Disk:
    """Folders and models of one run."""

    folders: Folders
    store: ModelStore

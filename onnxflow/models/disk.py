"""What a workflow may touch on the disk: the folders its file names are relative to, and the models."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnxflow.models.store import ModelStore


@dataclass(frozen=True, slots=True)
class Folders:
    """The three roots that file names in a workflow are relative to."""

    input: Path
    output: Path
    temp: Path


@dataclass(frozen=True, slots=True)
class Disk:
    """Folders and models of one run."""

    folders: Folders
    store: ModelStore

"""Removing an exported model: at once, so that nobody opens half of one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from onnxflow.errors import OutputError
from onnxflow.models.bundle import is_bundle


def remove_bundle(folder: Path) -> None:
    """Remove a bundle's folder; of a link to one, the link only. OutputError when it is none or cannot be removed."""
    if not is_bundle(folder):
        raise OutputError("this is no exported model", where=str(folder))
    try:
        if folder.is_symlink():
            folder.unlink()
            return
        aside = folder.with_name(f".{folder.name}.{os.getpid()}.removed")
        folder.rename(aside)
        shutil.rmtree(aside)
    except OSError as error:
        raise OutputError(
            f"the model cannot be removed: {error.strerror or error}",
            where=str(folder),
            hint="close what uses it, or remove the folder yourself",
        ) from error

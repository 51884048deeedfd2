"""Where a bundle is put: it appears there at once, whole, or nothing does."""

import shutil
from pathlib import Path

from onnxflow.errors import OutputError, UsageError
from onnxflow.export.manifest import FILE_NAME


def check_target(source: Path, bundle: Path) -> None:
    """UsageError for a place within the model itself, OutputError for one where something else is."""
    if bundle.resolve() == source.resolve() or source.resolve() in bundle.resolve().parents:
        raise UsageError(
            "the bundle would be written into the model itself", where=str(bundle), hint="choose another folder"
        )
    if bundle.exists() and not (bundle / FILE_NAME).is_file() and (not bundle.is_dir() or any(bundle.iterdir())):
        raise OutputError(
            "there is something else in the bundle's place", where=str(bundle), hint="choose an empty or new folder"
        )


def recover(bundle: Path) -> None:
    """Put back the older bundle that an export killed at its very end had moved aside."""
    old = _aside(bundle)
    if old.exists() and not bundle.exists():
        old.rename(bundle)


def replace(finished: Path, bundle: Path) -> None:
    """Put the finished folder in its place; an older bundle is moved away first and removed last."""
    old = _aside(bundle)
    shutil.rmtree(old, ignore_errors=True)
    if bundle.exists():
        bundle.rename(old)
    try:
        finished.rename(bundle)
    except OSError:
        if old.exists():
            old.rename(bundle)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _aside(bundle: Path) -> Path:
    return bundle.with_name(f".{bundle.name}.old")

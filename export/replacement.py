"""A finished folder in the place of an older one: at any moment one of both is whole, and the other is hidden."""

import shutil
from pathlib import Path


def recover(bundle: Path) -> None:
    """Put back the older bundle that an export killed at its very end had moved aside."""
    old = _aside(bundle)
    if old.exists() and not bundle.exists():
        old.rename(bundle)


def _aside(bundle: Path) -> Path:
    return bundle.with_name(f".{bundle.name}.old")


def put_in_place(finished: Path, bundle: Path) -> None:
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

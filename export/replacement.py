"""A finished folder in the place of an older one: at any moment one of both is there, and whole."""

import ctypes
import os
import shutil
import sys
from pathlib import Path

_EXCHANGE = 2  # RENAME_EXCHANGE
_WORKING_DIR = -100  # AT_FDCWD: paths are relative to it


def recover(bundle: Path) -> None:
    """Put back the older bundle that an export killed at its very end had moved aside."""
    old = _aside(bundle)
    if old.exists() and not bundle.exists():
        old.rename(bundle)


def put_in_place(finished: Path, bundle: Path) -> None:
    """Put the finished folder in its place. An older bundle is then in the finished one's, or removed; where the system
    cannot exchange two folders at once, a kill at the wrong moment leaves it hidden, for `recover`."""
    old = _aside(bundle)
    shutil.rmtree(old, ignore_errors=True)
    if bundle.exists():
        if exchange(finished, bundle):
            return
        bundle.rename(old)
    try:
        finished.rename(bundle)
    except OSError:
        if old.exists():
            old.rename(bundle)
        raise
    shutil.rmtree(old, ignore_errors=True)


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change their names at once; False, and nothing is changed, where that cannot be done: Linux can,
    on most file systems."""
    if sys.platform != "linux":
        return False
    try:
        rename = ctypes.CDLL(None).renameat2
    except (OSError, AttributeError):  # another C library, or an old one
        return False
    paths = os.fsencode(one), os.fsencode(other)
    return bool(rename(_WORKING_DIR, paths[0], _WORKING_DIR, paths[1], _EXCHANGE) == 0)


def _aside(bundle: Path) -> Path:
    return bundle.with_name(f".{bundle.name}.old")

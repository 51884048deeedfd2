"""One export of a bundle at a time: two would write into one folder, and the first to give up would remove it."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from onnxflow.errors import UsageError


@contextmanager
def alone(bundle: Path) -> Iterator[None]:
    """Hold the name of a bundle, by its full path, on this machine; the system gives it free when a process ends.

    UsageError when another process, or this one, holds it. Where no lock file can be had, nothing is held.
    """
    name = hashlib.sha256(str(bundle).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    try:  # not beside the bundle, where it would be left behind
        file = (Path(tempfile.gettempdir()) / f"onnxflow-export-{name}.lock").open("a")
    except OSError:
        yield
        return
    with file:
        if not _hold(file):
            raise UsageError(
                "another export writes this bundle",
                where=str(bundle),
                hint="wait until it is finished, or choose another name",
            )
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file; the next export finds it free
                os.unlink(file.name)


def _hold(file: IO[str]) -> bool:
    """Lock an open file until it is closed; False when somebody has it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Between the opening and this, another export may have ended and removed the file: then it locks nobody out.
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.name))
    except OSError:
        return False

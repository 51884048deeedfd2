"""How an export ends, whatever engine makes it: the whole bundle appears at once, or nothing does."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from onnxflow.errors import MemoryLimitError, OnnxflowError, OutputError
from onnxflow.export.progress import Progress
from onnxflow.export.replacement import put_in_place
from onnxflow.export.room import is_out_of_memory
from onnxflow.export.target import describe
from onnxflow.export.work_folder import WorkFolder
from onnxflow.models.bundle import read_manifest
from onnxflow.models.manifest import FILE_NAME

CHECKPOINTS: Final = "checkpoints"
_RESUME: Final = "the same command with --resume goes on with what is done"


def tell_older(bundle: Path, told: Progress) -> None:
    """Say what becomes of a bundle that is there already."""
    if (bundle / FILE_NAME).is_file():
        told(f"the bundle that is there, {describe(bundle)}, stays until this one is whole, and is replaced then")


@contextmanager
def making(bundle: Path, key: dict[str, Any], *, resume: bool, told: Progress) -> Iterator[WorkFolder]:
    """The folder that a bundle's files and its manifest are written into; they take the bundle's place when all went
    well, and are removed when it did not.

    ``key`` is what an unfinished export must have in common for ``resume`` to go on with it. OutputError for a file
    that cannot be written; MemoryLimitError when memory ended: what is done is right then, and left there.
    """
    try:
        work = WorkFolder(bundle, key, resume=resume, report=told)
        try:
            yield work
            work.manifest.rename(work.files / FILE_NAME)
            read_manifest(work.files)  # what nobody could open does not take the place of what is there
            put_in_place(work.files, bundle)
        except MemoryLimitError as error:
            error.hint = f"{error.hint}; {_RESUME}"
            raise
        except (OnnxflowError, OSError):
            work.remove()
            raise
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise MemoryLimitError(
                f"there was not enough memory left for {told.now}",
                where=str(bundle),
                hint=f"close other programs or add swap; {_RESUME}",
            ) from error
        work.remove()
    except OSError as error:
        raise OutputError(
            f"cannot write the bundle: {error.strerror or error}",
            where=str(bundle),
            hint="free some space, or name a folder on another disk" if error.errno == errno.ENOSPC else "",
        ) from error
    told.begin("done")
    told(f"wrote {bundle}")
    if CHECKPOINTS not in bundle.parts:
        told(f"note: workflows find models below a folder called {CHECKPOINTS}, which this one is not")

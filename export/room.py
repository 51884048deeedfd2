"""Is there room for an export: on the disk, and in memory?"""

import shutil
from collections.abc import Callable
from pathlib import Path

from onnxflow.errors import MemoryLimitError, OutputError
from onnxflow.export.estimate import Estimate
from onnxflow.memory import free_memory, size


def check_room(estimate: Estimate, bundle: Path, left: int, *, force: bool, report: Callable[[str], None]) -> None:
    """Say what an export takes and what is free. `left` are the bytes of an unfinished export, which are used again or
    removed; an older bundle stays until the new one is whole.

    OutputError when not even the weights find room on the disk. MemoryLimitError when memory and swap together are too
    small: the system would kill the export, or something else; with `force` it is tried all the same.
    """
    disk, memory = free_disk(bundle), free_memory()
    there = f", {size(left)} are there" if left else ""
    free = f", {size(memory.available)} are free" if memory is not None else ""
    report(
        f"takes about {size(estimate.disk)} on the disk ({size(disk)} are free{there}) and {size(estimate.memory)} of "
        f"memory at most{free}"
    )
    if estimate.least - left > disk:
        raise OutputError(
            f"the bundle takes at least {size(estimate.least)}, the disk has {size(disk)} free{there}",
            where=str(bundle),
            hint="free some space, name a folder on another disk, or ask for less: --storage fp16, fewer precisions",
        )
    if memory is None or estimate.memory <= memory.available:
        return
    if estimate.memory > memory.available + memory.swap and not force:
        swap = f", swap {size(memory.swap)}" if memory.swap else ""
        raise MemoryLimitError(
            f"the export takes about {size(estimate.memory)} of memory, {size(memory.available)} are free{swap}",
            where=str(bundle),
            hint="close other programs, add swap, or use a larger machine; --force tries it all the same",
        )
    report("warning: there is less memory than that, the export may be very slow or be killed")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether Python or PyTorch, which has no error of its own for it, could not have the memory it asked for."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))


def free_disk(path: Path) -> int:
    """Bytes that the user may still write where `path` is or would be."""
    return shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists())).free


def bytes_below(folder: Path) -> int:
    """What the files in a folder take; zero when there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

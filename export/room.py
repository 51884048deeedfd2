"""Is there room for an export: on the disk, and in memory?"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from onnxflow.errors import MemoryLimitError, OutputError
from onnxflow.export.estimate import Estimate


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that are free: in memory, and in swap."""

    available: int
    swap: int


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


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def free_disk(path: Path) -> int:
    """Bytes that the user may still write where `path` is or would be."""
    return shutil.disk_usage(next(folder for folder in (path, *path.parents) if folder.exists())).free


def bytes_below(folder: Path) -> int:
    """What the files in a folder take; zero when there is none."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def free_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> Memory | None:
    """What Linux says a new program can have without swapping, under the limits of its control groups (version 2), and
    free swap; None where that is not to be found out."""
    try:
        lines = (line.split(":") for line in (proc / "meminfo").read_text().splitlines())
        kib = {name: int(value.split()[0]) for name, value in lines}
        free, swap = 1024 * kib["MemAvailable"], 1024 * kib["SwapFree"]
    except (OSError, ValueError, KeyError, IndexError):
        return None
    limit = _group_limit(proc, groups)
    if limit is not None and limit < free:
        return Memory(limit, 0)  # what a group may have of the swap is another limit, and mostly none
    return Memory(free, swap)


def _group_limit(proc: Path, groups: Path) -> int | None:
    """The least that a control group of this process leaves; None without a limit."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return None
    own = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), None)
    if own is None:
        return None
    folders = [groups / own, *(groups / parent for parent in Path(own).parents)]
    limits = [left for folder in folders if (left := _left_in(folder)) is not None]
    return min(limits, default=None)


def _left_in(group: Path) -> int | None:
    """What one control group leaves; files that it has read count as free, for they can be read again."""
    try:
        limit = int((group / "memory.max").read_text())  # ValueError for "max"
        used = int((group / "memory.current").read_text())
        stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        files = int(stat["inactive_file"]) + int(stat["active_file"])
    except (OSError, ValueError, KeyError):
        return None
    return max(0, limit - used + files)

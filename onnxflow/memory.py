"""What memory this machine has, and how much of it is free."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

_MMAP_THRESHOLD = -3  # glibc's M_MMAP_THRESHOLD


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that are free: in memory, and in swap."""

    available: int
    swap: int


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def total_memory(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Bytes of the machine's memory, or of the least that a control group of this process may have; None where that is
    not to be found out. The same at any time, unlike what is free."""
    if sys.platform == "win32":
        return _windows_memory()
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None
    limits = [limit for folder in _groups(proc, groups) if (limit := _limit_of(folder)) is not None]
    return min([total, *limits])


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
    limits = [left for folder in _groups(proc, groups) if (left := _left_in(folder)) is not None]
    return min(limits, default=None)


def _groups(proc: Path, groups: Path) -> list[Path]:
    """The folders of this process's control groups (version 2), the innermost first."""
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return []
    own = next((line.removeprefix("0::").strip("/") for line in lines if line.startswith("0::")), None)
    return [] if own is None else [groups / own, *(groups / parent for parent in Path(own).parents)]


def _limit_of(group: Path) -> int | None:
    try:
        return int((group / "memory.max").read_text())  # ValueError for "max"
    except (OSError, ValueError):
        return None


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


def _windows_memory() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        """Windows' MEMORYSTATUSEX."""

        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((name, ctypes.c_ulonglong) for name in ("total", "free", "a", "b", "c", "d", "e")),
        )

    status = Status(length=ctypes.sizeof(Status))
    answered = getattr(ctypes, "windll").kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # noqa: B009
    return int(status.total) if answered else None


def give_back_memory() -> None:
    """Give the system what was freed and the C library has kept for later; nothing where that is not glibc."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def free_at_once() -> None:
    """From here on let the C library give the system what is freed in pieces of a megabyte and more, for as long as the
    process lives; nothing where that is not glibc, which else keeps up to 32 MB of each kind for later."""
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(_MMAP_THRESHOLD, 1024 * 1024)

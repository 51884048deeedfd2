"""What the machine is: system, Python, processor, memory and graphics cards; no driver is loaded to find it out."""

from __future__ import annotations

import glob
import os
import platform
import shutil
import struct
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from onnxflow.memory import total_memory

_VENDORS: Final = {
    "0x10de": "NVIDIA",
    "0x1002": "AMD",
    "0x8086": "Intel",
    "0x5143": "Qualcomm",
    "0x17cb": "Qualcomm",
    "0x13b5": "Arm",
    "0x14e4": "Broadcom",
}
"""Makers of graphics cards by their number on the bus; others are those of virtual machines, and cannot compute."""


@dataclass(frozen=True, slots=True)
class Host:
    """A machine: ``platform`` as sys.platform, ``machine`` as platform.machine() in lower case, ``bits`` of Python,
    ``board`` where it names itself (a Raspberry Pi), ``libc`` ("glibc 2.36", "musl"), ``gpus`` by maker."""

    platform: str = sys.platform
    machine: str = "x86_64"
    bits: int = 64
    board: str = ""
    libc: str = ""
    python: tuple[int, int, int] = (3, 11, 0)
    free_threaded: bool = False
    processor: str = ""
    cores: int = 1
    memory: int | None = None
    gpus: tuple[str, ...] = ()


def this_host(root: Path = Path("/")) -> Host:
    """This machine; ``root`` stands for the root of its files."""
    return Host(
        platform=sys.platform,
        machine=platform.machine().lower(),
        bits=8 * struct.calcsize("P"),
        board=_text(root / "proc/device-tree/model").strip("\0 \n"),
        libc=_libc(),
        python=sys.version_info[:3],
        free_threaded=bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        processor=_processor(root),
        cores=cores(),
        memory=total_memory(),
        gpus=_gpus(root),
    )


def cores() -> int:
    """The cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _libc() -> str:
    if sys.platform != "linux":
        return ""
    told = " ".join(platform.libc_ver()).strip()  # musl names itself from Python 3.13 on
    return told or ("musl" if glob.glob("/lib/ld-musl-*") else "")


def _processor(root: Path) -> str:
    for line in _text(root / "proc/cpuinfo").splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("model name", "hardware"):
            return value.strip()
    return platform.processor() or platform.machine()


def _gpus(root: Path) -> tuple[str, ...]:
    """The makers of the graphics cards, each once. Windows does not tell but for NVIDIA's program."""
    found = []
    if (root / "proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi"):
        found.append("NVIDIA")
    if sys.platform == "darwin":
        found.append("Apple")
    for path in sorted(glob.glob(str(root / "sys/class/drm/card*/device/vendor"))):
        found.append(_VENDORS.get(_text(Path(path)).strip().lower(), ""))
    return tuple(dict.fromkeys(filter(None, found)))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""

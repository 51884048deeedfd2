"""What a device's answers depend on besides its wheel and driver: cards, variables that choose one, ourselves."""

from __future__ import annotations

import glob
import os
import sys
import sysconfig
import time
from pathlib import Path
from typing import Final

from onnxflow.providers.cache_folder import digest

CHOOSING: Final = (
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"),
    *("VK_DRIVER_FILES", "VK_ICD_FILENAMES"),
)
"""Variables that say which card is behind a device's name."""

_CHANGING: Final = ("LD_LIBRARY_PATH", "OMP_NUM_THREADS")
"""Variables that change whether a device works, and how fast it is."""

_CARDS: Final = ("/sys/class/drm/card*/device/", "/sys/class/accel/accel*/device/")
_DAY: Final = 86_400


def hardware() -> list[str]:
    """The cards of this machine, and what the variables say that choose among them."""
    cards = [
        _read(path).strip()
        for folder in _CARDS
        for part in ("vendor", "device")
        for path in sorted(glob.glob(f"{folder}{part}"))
    ]
    # A container may see no card in /sys, but does see those that NVIDIA's driver gave it.
    for path in sorted(glob.glob("/proc/driver/nvidia/gpus/*/information")):
        cards += [line for line in _read(path).splitlines() if line.startswith("Model")]
    return [*cards, *(os.environ.get(name, "") for name in CHOOSING)]


def circumstances() -> list[str]:
    """What the answer of a trial depends on, its wheel and driver apart: our own version first."""
    from onnxflow.providers.host import cores  # some milliseconds that a run on the CPU does not need

    ours = sys.modules["onnxflow"].__version__  # not imported: the package that holds us knows of everything above us
    return [ours, str(cores()), *hardware(), *(os.environ.get(name, "") for name in _CHANGING)]


def surroundings() -> str:
    """A text that changes when a failure may be mended: a library or a package was installed, the machine started anew,
    or a day has passed."""
    installed = (_stat("/etc/ld.so.cache"), *(_stat(sysconfig.get_path(name)) for name in ("purelib", "platlib")))
    return digest(*installed, _read("/proc/sys/kernel/random/boot_id"), str(int(time.time()) // _DAY))


def _read(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _stat(path: str) -> str:
    try:
        return str(os.stat(path).st_mtime_ns)
    except OSError:
        return ""

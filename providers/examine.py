"""Finding out what `onnxflow doctor` judges: onnxruntime and drivers are loaded into child processes only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from onnxflow.providers.cache_folder import VARIABLE, cache_folder
from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.device import CPU
from onnxflow.providers.doctor import Examined, Folder
from onnxflow.providers.host import this_host
from onnxflow.providers.install import install_command
from onnxflow.providers.machine import Health
from onnxflow.providers.probe import ProbedMachine
from onnxflow.providers.wheels import installed


def examine(machine: ProbedMachine, folders: Iterable[Folder] = ()) -> Examined:
    """Everything about this machine; each device is tried. ``folders`` are others that were looked at."""
    listing = machine.listing()
    healths: list[Health] = []
    if not listing.problem:
        healths = [machine.measured(CPU)]
        healths += [machine.measured(offer.device) for offer in listing.offers if not offer.problem]
    host = this_host()
    failed = {offer.device.provider for offer in listing.offers if offer.problem}
    failed |= {health.device.provider for health in healths if not health.works}
    missing = {facts.name: machine.missing(facts) for facts in PROVIDERS if facts.name in failed}
    cache = Folder("cache", cache_folder(), writable(cache_folder()), f"set {VARIABLE} to a folder that can be written")
    return Examined(
        host=host,
        wheels=dict(installed()),
        listing=listing,
        healths=tuple(healths),
        missing=missing,
        commands={wheel.distribution: install_command(wheel) for facts in PROVIDERS for wheel in facts.wheels},
        folders=(cache, *folders),
    )


def writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or it in the nearest one above that there is. Nothing is left behind."""
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False

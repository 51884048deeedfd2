"""The distributions of ONNX Runtime and its plug-ins that are installed here."""

from __future__ import annotations

import glob
import platform
import sys
from functools import lru_cache
from pathlib import Path

from onnxflow.providers.catalog import CATALOG, PROVIDERS
from onnxflow.providers.circumstances import hardware
from onnxflow.providers.provider import Provider

REPLACING = tuple(dict.fromkeys(wheel.distribution for one in PROVIDERS for wheel in one.wheels if not wheel.plugin))
"""Distributions that are onnxruntime itself: an environment may hold one of them."""


@lru_cache(maxsize=1)
def installed() -> dict[str, str]:
    """Versions of the distributions in the catalog that are installed, by name."""
    from importlib import metadata  # 30 ms that a run on the CPU does not need

    found = {}
    for name in dict.fromkeys(wheel.distribution for one in PROVIDERS for wheel in one.wheels):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def wheel_of(provider: str) -> tuple[str, str]:
    """The installed distribution that brings a provider of the catalog, and its version; empty texts where none does.
    One with the provider inside comes before a plug-in, which is not used then. The CPU is in every wheel of
    onnxruntime."""
    found = installed()
    wheels = sorted(CATALOG[provider].wheels, key=lambda wheel: wheel.plugin)
    names = [wheel.distribution for wheel in wheels] + (list(REPLACING) if provider == "cpu" else [])
    return next(((name, found[name]) for name in names if name in found), ("", ""))


def stamp(facts: Provider) -> str:
    """A text that changes with what a provider's answers depend on besides the graph: its wheel, its driver, the
    system, the cards, and the variables that choose among them."""
    wheels = [f"{name} {version}" for name, version in sorted(installed().items())]
    drivers = [_contents(path) for pattern in facts.driver for path in sorted(glob.glob(pattern))]
    return "; ".join([*wheels, sys.platform, platform.machine(), platform.release(), *drivers, *hardware()])


def _contents(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace")[:2000]
    except OSError:
        return path

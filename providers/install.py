"""The command that brings a wheel into this very environment, without breaking what is in it.

The builds of ONNX Runtime install the same files, and so one of them must go before another comes; what a clone of the
repository is installed from, is named instead of the distributions that stand for it.
"""

from __future__ import annotations

import json
from importlib import metadata
from typing import Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.provider import Wheel
from onnxflow.providers.wheels import REPLACING, installed

_CODE: Final = "onnxflow-core"
_CPU: Final = "onnxruntime"
_PIP: Final = "pip install "

_OURS: Final = {
    wheel.distribution: wheel.install.removeprefix(_PIP)
    for one in PROVIDERS
    for wheel in one.wheels
    if wheel.install and not wheel.plugin
}
"""Our distributions without code, by the build of ONNX Runtime that they require."""


def install_command(wheel: Wheel) -> str:
    """The command that brings a wheel here, and takes away first what cannot stand beside it; empty where none does.

    A plug-in needs the CPU build, as our distributions that bring one require it.
    """
    if not wheel.install:
        return ""
    builds = [name for name in REPLACING if name in installed()]
    needed = _CPU if wheel.plugin else wheel.distribution
    away = [] if all(name == needed for name in builds) else [*_ours_installed(), *builds]
    clone = _clone()
    command = f"{_PIP}{clone}[{','.join(_extras(wheel, away or not builds))}]'" if clone else wheel.install
    return f"pip uninstall -y {' '.join(away)} && {command}" if away else command


def _extras(wheel: Wheel, bare: object) -> list[str]:
    """The extras of our sources for a wheel; ``bare`` is true where no build of ONNX Runtime is left."""
    name = wheel.install.removeprefix(_PIP).strip("'")
    if wheel.plugin:
        return [*(["cpu"] if bare else []), name.partition("[")[2].rstrip("]")]
    return [name.partition("-")[2] or "cpu"]


def _ours_installed() -> list[str]:
    """Our distributions without code that are installed."""
    return [name for name in dict.fromkeys(_OURS.values()) if _distribution(name) is not None]


def _clone() -> str:
    """The folder of the sources that were installed, as pip is told it up to the extras; empty where a wheel was
    installed."""
    code = _distribution(_CODE)
    if code is None or _ours_installed():
        return ""
    try:
        told = json.loads(code.read_text("direct_url.json") or "{}")
        folder = url2pathname(urlsplit(told["url"]).path)
        return f"-e '{folder}" if told["dir_info"].get("editable") else f"'{folder}"
    except (KeyError, TypeError, ValueError):
        return ""


def _distribution(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None

"""Execution providers that are installed beside onnxruntime: their libraries are registered once a process."""

from __future__ import annotations

import importlib
import importlib.util
import threading
from pathlib import Path
from typing import Any

from onnxflow.errors import ProviderError
from onnxflow.providers.device import Device
from onnxflow.providers.failure import first_line, mended, symptom_of
from onnxflow.providers.provider import Provider, Wheel
from onnxflow.providers.runtime import onnxruntime

_registered: set[str] = set()
_lock = threading.Lock()


def plugin_of(facts: Provider) -> Wheel | None:
    """The plug-in of a provider that is installed here; None when there is none. Imports nothing."""
    for wheel in facts.wheels:
        if wheel.plugin and importlib.util.find_spec(wheel.module) is not None:
            return wheel
    return None


def registered(facts: Provider) -> bool:
    """Whether a plug-in with this provider was registered in this process, by us or by the program that called us:
    those have devices in ONNX Runtime's list, which a provider inside the wheel has not."""
    return any(device.ep_name == facts.ep for device in onnxruntime().get_ep_devices())


def register(facts: Provider, wheel: Wheel) -> None:
    """Register a plug-in's library with ONNX Runtime, unless it is; ProviderError when it cannot be loaded."""
    with _lock:
        if wheel.distribution in _registered:
            return
        try:
            library = Path(importlib.import_module(wheel.module).get_library_path())
            # The name is free. It must not end in ".virtual": such a plug-in offers a device that cannot run anything.
            onnxruntime().register_execution_provider_library(wheel.distribution, str(library))
        except ProviderError:
            raise
        except Exception as error:  # ONNX Runtime's errors share no base class
            if "already registered" not in str(error):  # by the program that called us
                raise _unusable(error, facts, wheel) from error
        _registered.add(wheel.distribution)


def plugin_devices(facts: Provider, wheel: Wheel) -> list[Any]:
    """The devices that a plug-in offers here, as ONNX Runtime's OrtEpDevice; those that only compile are left out."""
    register(facts, wheel)
    found = [device for device in onnxruntime().get_ep_devices() if device.ep_name == facts.ep]
    return [device for device in found if dict(device.device.metadata).get("is_virtual") != "1"]


def plugin_device(device: Device, wheel: Wheel) -> Any:
    """The OrtEpDevice of ``device``; ProviderError when the plug-in offers none."""
    facts = device.facts
    offered = plugin_devices(facts, wheel)
    kind = facts.hardware.get(device.unit, facts.hardware.get("", ""))
    fitting = [one for one in offered if not kind or one.device.type.name == kind]
    if fitting:
        return fitting[0]
    there = f", only {', '.join(sorted({one.device.type.name for one in offered}))}" if offered else ""
    raise ProviderError(
        f"{device}: {wheel.distribution} is installed, and finds no {kind or 'device'} here{there}",
        hint=mended(facts) or _without_it(facts, kind),
    )


def _without_it(facts: Provider, kind: str) -> str:
    """What to do where a plug-in offers no device of a kind. A processor has no driver; another wheel may know it."""
    if kind == "CPU":
        others = [wheel.distribution for wheel in facts.wheels if not wheel.plugin]
        return f"{' or '.join(others)} knows processors of other makers, in an environment of its own; or name the cpu"
    return f"install a driver for the {kind or 'device'} if there is one, or name the cpu"


def _unusable(error: Exception, facts: Provider, wheel: Wheel) -> ProviderError:
    """Why the library of a plug-in does not load, as far as it is known."""
    known = symptom_of(str(error), facts.symptoms)
    cause = known.cause if known else first_line(error)
    cure = known.cure if known else mended(facts) or f"pip install --upgrade {wheel.distribution}; see onnxflow doctor"
    return ProviderError(f"{wheel.distribution} cannot be loaded: {cause}", hint=cure)

"""The devices that the installed wheels offer: asked of ONNX Runtime, so in a child process only.

A provider whose devices are names (OpenVINO) offers those that its wheel finds, or all where the wheel does not tell.
One whose devices are numbers offers as many as ONNX Runtime's list of devices has; CUDA, which is not in that list, as
many as its driver counts; and one at least, whose trial then says what is wrong.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from onnxflow.errors import ProviderError
from onnxflow.providers.catalog import PROVIDERS
from onnxflow.providers.device import Device
from onnxflow.providers.failure import first_line
from onnxflow.providers.plugin import plugin_device, plugin_devices, plugin_of
from onnxflow.providers.provider import Provider, Wheel
from onnxflow.providers.runtime import onnxruntime

BUILT_IN: Final = "built-in"
"""Stands for all that is inside the wheel of onnxruntime, beside the names of plug-ins' providers."""

_NVIDIA: Final = ("CUDAExecutionProvider", "TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider")
_MOST: Final = 16


@dataclass(frozen=True, slots=True)
class Offer:
    """A device, what hardware it is as far as that is told, and why it cannot be used, empty where it may."""

    device: Device
    what: str = ""
    problem: str = ""
    cure: str = ""


def offers(wanted: Collection[str] = ()) -> list[Offer]:
    """The devices of the wheel of onnxruntime and of each plug-in, or of those in ``wanted``; the CPU is left out."""
    inside = set(onnxruntime().get_available_providers())
    found: list[Offer] = []
    for facts in PROVIDERS:
        if facts.name == "cpu":
            continue
        if facts.ep in inside:
            if not wanted or BUILT_IN in wanted:
                found += _built_in(facts)
            continue
        wheel = plugin_of(facts)
        if wheel is not None and (not wanted or facts.name in wanted):
            found += _of_plugin(facts, wheel)
    return found


def _of_plugin(facts: Provider, wheel: Wheel) -> list[Offer]:
    first = Device(facts.name, next(iter(facts.units), "0" if facts.counted else ""))
    try:
        offered = plugin_devices(facts, wheel)
        found = []
        if facts.counted:
            kind = facts.hardware.get("", "")
            fitting = [one for one in offered if not kind or one.device.type.name == kind]
            found = [Offer(Device(facts.name, str(n)), hardware_of(one)) for n, one in enumerate(fitting)]
        else:
            for unit in facts.units or ("",):
                with contextlib.suppress(ProviderError):
                    found.append(
                        Offer(Device(facts.name, unit), hardware_of(plugin_device(Device(facts.name, unit), wheel)))
                    )
        if not found:
            plugin_device(first, wheel)  # says why
    except ProviderError as error:
        return [Offer(first, "", error.message.removeprefix(f"{first}: "), error.hint)]
    except Exception as error:  # ONNX Runtime's errors share no base class
        return [Offer(first, "", f"{type(error).__name__}: {first_line(error)}", "onnxflow doctor")]
    return found


def _built_in(facts: Provider) -> list[Offer]:
    if facts.counted:
        names = _listed(facts) or _counted(facts) or [""]
        return [Offer(Device(facts.name, str(number)), name) for number, name in enumerate(names)]
    if facts.units:
        there = _openvino_units() if facts.name == "openvino" else None
        return [
            Offer(Device(facts.name, unit))
            if there is None or any(name.split(".")[0] == value for name in there)
            else Offer(
                Device(facts.name, unit),
                "",
                f"there is no {value} that {facts.title} can use",
                f"name {facts.name}:{next(iter(facts.units))}, or install the driver of the {value}",
            )
            for unit, value in facts.units.items()
        ]
    return [Offer(Device(facts.name), next(iter(_listed(facts)), ""))]


def _listed(facts: Provider) -> list[str]:
    """The hardware of each device in ONNX Runtime's own list that the provider is in."""
    try:
        return [hardware_of(one) for one in onnxruntime().get_ep_devices() if one.ep_name == facts.ep]
    except Exception:  # the list is new in 1.23, and not made on every platform
        return []


def hardware_of(offered: Any) -> str:
    """What an OrtEpDevice says of its hardware: a name, or kind, vendor and number."""
    told: Mapping[str, str] = dict(offered.device.metadata)
    if named := told.get("Description"):
        return str(named)
    vendor = offered.device.vendor or _VENDORS.get(offered.device.vendor_id, "")
    number = f" {offered.device.device_id:#06x}" if offered.device.device_id else ""
    return f"{vendor} {offered.device.type.name}".strip() + number


_VENDORS: Final = {0x10DE: "NVIDIA", 0x1002: "AMD", 0x8086: "Intel", 0x106B: "Apple", 0x5143: "Qualcomm", 0x13B5: "Arm"}


def _openvino_units() -> list[str] | None:
    """OpenVINO's own names of what it can use ("CPU", "GPU.0"); None where its wheel does not say."""
    try:
        from onnxruntime.capi import _pybind_state as state

        return list(state.get_available_openvino_device_ids())
    except Exception:  # a wheel without that function, or an OpenVINO that fails: the trial says why
        return None


def _counted(facts: Provider) -> list[str]:
    """The names of NVIDIA's GPUs as CUDA numbers them, CUDA_VISIBLE_DEVICES heeded; empty when its driver does not
    say."""
    if facts.ep not in _NVIDIA:
        return []
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int()
        if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)):
            return []
        found = []
        for number in range(min(count.value, _MOST)):
            text = ctypes.create_string_buffer(100)
            driver.cuDeviceGetName(text, len(text), number)  # a device's handle is its number
            found.append(text.value.decode(errors="replace"))
        return found
    except (OSError, AttributeError):
        return []

"""Which graphs devices have taken whole before: remembered, so that the trial is made once."""

from __future__ import annotations

from onnxflow.providers.cache_folder import digest, recall, remember
from onnxflow.providers.device import Device
from onnxflow.providers.wheels import stamp

_NAME = "taken"


def was_taken(identity: str, component: str, variant: str, device: Device) -> bool:
    """Whether a device took a graph before; False again when its driver or its wheel has changed since."""
    return _key(identity, component, variant, device) in recall(_NAME)


def remember_taken(identity: str, component: str, variant: str, device: Device) -> None:
    """Remember that a device took a graph."""
    remember(_NAME, {_key(identity, component, variant, device): f"{component} {variant} on {device}"})


def _key(identity: str, component: str, variant: str, device: Device) -> str:
    return digest(identity, component, variant, str(device), stamp(device.facts))

"""Which graphs devices took whole before, and which they had no memory for: remembered, so that it is tried once."""

from __future__ import annotations

from onnxflow.providers.cache_folder import digest, recall, remember
from onnxflow.providers.device import Device
from onnxflow.providers.wheels import stamp

_NAME = "taken"
_TOO_LARGE = "too_large"


def was_taken(identity: str, component: str, variant: str, device: Device) -> bool:
    """Whether a device took a graph before; False again when its driver or its wheel has changed since."""
    return _key(identity, component, variant, device) in recall(_NAME)


def remember_taken(identity: str, component: str, variant: str, device: Device) -> None:
    """Remember that a device took a graph."""
    remember(_NAME, {_key(identity, component, variant, device): f"{component} {variant} on {device}"})


def was_too_large(identity: str, component: str, variant: str, device: Device) -> bool:
    """Whether a device had no memory for a graph before; False again when its driver or its wheel has changed since."""
    return _key(identity, component, variant, device) in recall(_TOO_LARGE)


def remember_too_large(identity: str, component: str, variant: str, device: Device) -> None:
    """Remember that a device had no memory for a graph."""
    remember(_TOO_LARGE, {_key(identity, component, variant, device): f"{component} {variant} on {device}"})


def _key(identity: str, component: str, variant: str, device: Device) -> str:
    return digest(identity, component, variant, str(device), stamp(device.facts))

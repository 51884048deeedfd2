"""Verdicts of `onnxflow verify`: how far a device's answers for one graph were from PyTorch's, remembered."""

from __future__ import annotations

from dataclasses import dataclass

from onnxflow.providers.cache_folder import digest, recall, remember
from onnxflow.providers.device import Device
from onnxflow.providers.wheels import stamp

_NAME = "verdicts"


@dataclass(frozen=True, slots=True)
class Judged:
    """The error that was measured, and the one that is allowed."""

    error: float
    allowed: float

    @property
    def wrong(self) -> bool:
        """Whether the answers were wrong; NaN is."""
        return not self.error <= self.allowed


def keep_verdict(identity: str, component: str, variant: str, device: Device, judged: Judged) -> None:
    """Remember a verdict for this device, with its driver and wheel as they are now."""
    told = {"error": judged.error, "allowed": judged.allowed, "what": f"{component} {variant} on {device}"}
    remember(_NAME, {_key(identity, component, variant, device): told})


def known_verdict(identity: str, component: str, variant: str, device: Device) -> Judged | None:
    """What was remembered; None when nothing was, or since then a driver or a wheel has changed."""
    told = recall(_NAME).get(_key(identity, component, variant, device))
    try:
        return Judged(float(told["error"]), float(told["allowed"])) if told else None
    except (KeyError, TypeError, ValueError):
        return None


def _key(identity: str, component: str, variant: str, device: Device) -> str:
    return digest(identity, component, variant, str(device), stamp(device.facts))

"""Where a provider keeps what it compiled: one folder a model, component, variant, device, wheel and driver."""

from __future__ import annotations

from pathlib import Path

from onnxflow.providers.cache_folder import cache_folder, digest
from onnxflow.providers.device import Device
from onnxflow.providers.wheels import stamp


def compiled_folder(device: Device, identity: str, component: str, variant: str) -> Path | None:
    """The folder for what a provider compiles of a graph, in every size; None for one that keeps nothing, or for a
    graph without an identity. Nothing is made."""
    if not identity or not (device.facts.cache or device.facts.context):
        return None
    key = digest(identity, component, variant, str(device), stamp(device.facts))
    return cache_folder() / "compiled" / f"{device.provider}-{device.unit or 'device'}-{component}-{variant}-{key}"

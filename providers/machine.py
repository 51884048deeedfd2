"""What this machine can run on, as far as it was tried: the devices of the installed wheels, and their health."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from onnxflow.providers.device import CPU, Device


@dataclass(frozen=True, slots=True)
class Health:
    """What a trial of a device said: whether it computes, and right; if not, what is wrong and what mends it; its speed
    in GFLOP/s by precision ("fp32", "fp16"), of those that it computed right. ``split`` says that it computes attention
    right only when that is split into its standard nodes, though it has a kernel for it. ``failed`` has the problem and
    the cure of each precision that it does not compute. ``partial`` says what it leaves to the CPU where it takes part
    of a graph only, as some providers do by design."""

    device: Device
    works: bool
    problem: str = ""
    cure: str = ""
    speed: Mapping[str, float] = field(default_factory=dict)
    split: bool = False
    failed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    partial: str = ""


class Machine(Protocol):
    """The devices that placement chooses from: the boundary that a fake replaces in tests."""

    def health(self, device: Device, *, again: bool = False) -> Health:
        """The health of a device, tried now unless it is known; one that is not installed does not work. With ``again``
        a failure that is remembered from another process is tried once more: the user may have mended it."""
        ...

    def devices(self) -> tuple[Device, ...]:
        """The CPU, and the devices that the installed wheels offer besides."""
        ...


class OnlyCpu:
    """A machine of which nothing is asked: the CPU works, and there is nothing else."""

    def health(self, device: Device, *, again: bool = False) -> Health:
        """The CPU's."""
        return Health(device, device == CPU, "" if device == CPU else f"{device} is not there", "")

    def devices(self) -> tuple[Device, ...]:
        """The CPU."""
        return (CPU,)

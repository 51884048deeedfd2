"""How a graph is to be loaded: where, and what may happen when that place does not take it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnxflow.providers.device import CPU, Device


@dataclass(frozen=True, slots=True)
class Target:
    """A device; the precision of the graph; whether ONNX Runtime may give the CPU what the device does not take; and
    the folder for what is compiled, None for none."""

    device: Device = CPU
    precision: str = "fp32"
    fallback: bool = False
    cache: Path | None = None


ON_CPU = Target()

"""How a graph is to be loaded: where, and what may happen when that place does not take it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from onnxflow.providers.device import CPU, Device
from onnxflow.providers.loading import FAST, Loading


@dataclass(frozen=True, slots=True)
class Target:
    """A device; the precision of the graph; whether ONNX Runtime may give the CPU what the device does not take; the
    folder for what is compiled, None for none; and whether attention is split into its standard nodes, as it is anyway
    for a provider without a kernel for it; and what becomes of weights that lie in a file as they are."""

    device: Device = CPU
    precision: str = "fp32"
    fallback: bool = False
    cache: Path | None = None
    split: bool = False
    loading: Loading = FAST


ON_CPU = Target()

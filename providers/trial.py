"""Trying a device: a small network on it, compared with the same on the CPU, and timed.

The network (``onnxflow.export.probe_graph`` writes it) is a denoiser in small: a convolution from 4 to 64 channels,
three blocks of InstanceNormalization, SiLU and a convolution of 64 channels, two convolutions that halve height and
width, and self-attention of what is left. Its weights are a formula's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import OnnxflowError, ProviderError
from onnxflow.providers.device import Device
from onnxflow.providers.failure import first_line
from onnxflow.providers.graph import OrtGraph
from onnxflow.providers.opening import FUSED
from onnxflow.providers.target import Target

ALLOWED: Final[Mapping[str, float]] = {"fp32": 1e-2, "fp16": 3e-2}
"""How far a device's answer may be from the CPU's in fp32, as a share of its norm. GPUs and NPUs compute fp32 graphs in
TF32 or fp16 too: measured 6e-4 for fp16 on the CPU, and 1 and more where something is wrong."""

SIZES: Final = ((1, 32), (1, 64), (1, 128), (1, 256), (4, 256))
"""Batch, and height and width, of the pictures that are timed, in this order, while it goes fast. 0.26 to 83 GFLOP."""

ENOUGH: Final = 0.05
"""Seconds: a call that takes longer says how fast a device is. One of less than 5 GFLOP/s stops at the first size."""

_FILES: Final[Mapping[str, str]] = {"fp32": "float32.onnx", "fp16": "float16.onnx"}
_WRONG: Final = "it computes wrong in"
_CALLS, _BUDGET = 8, 0.25  # at most so many timed calls, or so many seconds of them
_CPU = Device("cpu")


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it: GFLOP/s by precision where that was computed right, elsewhere what went wrong, as message and
    hint; and whether attention had to be split into its standard nodes for that."""

    speed: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    split: bool = False

    def told(self) -> dict[str, Any]:
        """As JSON's types: fp16 failing is no failure of a device that computes in fp32."""
        wrong = next((self.failed[name] for name in _FILES if name in self.failed), None)
        works = not wrong or ("fp32" in self.speed and "fp32" not in self.failed)
        problem, cure = wrong if wrong and not works else ("", "")
        return {"works": works, "problem": problem, "cure": cure, "speed": dict(self.speed), "split": self.split}


def try_device(device: Device) -> Trial:
    """The trial of a device, in each precision that the catalog says it takes; where it computes wrong with its kernel
    for attention, once more without."""
    found = _trial(device, split=False)
    if not any(message.startswith(_WRONG) for message, _ in found.failed.values()) or not device.facts.has(FUSED):
        return found
    again = _trial(device, split=True)
    return again if len(again.speed) > len(found.speed) else found


def _trial(device: Device, split: bool) -> Trial:
    speed: dict[str, float] = {}
    failed: dict[str, tuple[str, str]] = {}
    wanted = [name for name in _FILES if name in device.facts.precisions] or ["fp32"]
    picture = _picture(*SIZES[0])
    try:
        right = _call(_graph(_CPU, "fp32", SIZES[0]), picture)
    except OnnxflowError as error:
        return Trial({}, dict.fromkeys(wanted, (f"the CPU does not compute it either: {error.message}", error.hint)))
    for precision in wanted:
        try:
            speed[precision] = _tried(device, precision, picture, right, split)
        except OnnxflowError as error:
            message = error.message.removeprefix(f"{device}: ").removeprefix(f"{_named(precision)}: ")
            failed[precision] = (message.removeprefix(f"{device} "), error.hint)
        except Exception as error:  # whatever a driver raises is an answer too
            failed[precision] = (f"{type(error).__name__}: {first_line(error)}", "onnxflow doctor")
    return Trial(speed, failed, split)


def operations(batch: int, size: int) -> int:
    """Floating-point operations of the network, 2 for each multiplication with its addition, of what convolutions,
    products of matrices and attention multiply: normalisations, SiLU and softmax are not counted.

    For P = batch * size^2 pixels and T = (size / 4)^2 tokens a picture: 2 * 9 * 64 * (4 + 3 * 64) * P for the
    convolutions at full size, 2 * 9 * 64 * 64 * (P / 4 + P / 16) for those that halve it, and for each picture
    2 * T * 64 * (4 * 64 + 4) for the products, 4 * T^2 * 64 for the attention.
    """
    pixels, tokens = batch * size * size, (size // 4) ** 2
    convolutions = 2 * 9 * 64 * (4 + 3 * 64) * pixels + 2 * 9 * 64 * 64 * (pixels // 4 + pixels // 16)
    return convolutions + batch * (2 * tokens * 64 * (4 * 64 + 4) + 4 * tokens * tokens * 64)


def difference(found: NDArray[Any], right: NDArray[Any]) -> float:
    """The norm of the difference as a share of the norm of what is right; NaN where something is no number."""
    exact = right.astype(np.float64)
    return float(np.linalg.norm(found.astype(np.float64) - exact) / np.linalg.norm(exact))


def _tried(device: Device, precision: str, picture: NDArray[Any], right: NDArray[Any], split: bool) -> float:
    """GFLOP/s in a precision; OnnxflowError when it does not compute, or not right."""
    graph = _graph(device, precision, SIZES[0], split)
    error = difference(_call(graph, picture), right)
    if not error <= ALLOWED[precision]:
        raise ProviderError(
            f"{_WRONG} {precision}: {error:.1e} from the CPU, {ALLOWED[precision]:.0e} is allowed",
            hint="an update of the driver or of the wheel may mend it; until then name another device",
        )
    found = 0.0
    for sizes in SIZES:
        try:
            if found and _is_fixed(device):
                graph.close()
                graph = _graph(device, precision, sizes, split)
            seconds = _seconds(graph, _picture(*sizes))
        except OnnxflowError:
            if not found:
                raise
            break  # larger than its memory: the smaller size has told enough
        found = operations(*sizes) / seconds / 1e9
        if seconds >= ENOUGH:
            break
    graph.close()
    return round(found, 3)


def _seconds(graph: OrtGraph, picture: NDArray[Any]) -> float:
    """Seconds of the fastest of a few calls, of one where they are slow, after one that allocates and compiles."""
    _call(graph, picture)
    times: list[float] = []
    while len(times) < _CALLS and sum(times) < _BUDGET:
        started = time.perf_counter()
        _call(graph, picture)
        times.append(time.perf_counter() - started)
    return min(times)


def _named(precision: str) -> str:
    return f"the trial in {precision}"


def _graph(device: Device, precision: str, sizes: tuple[int, int], split: bool = False) -> OrtGraph:
    fixed = dict(zip(("batch", "height", "width"), (*sizes, sizes[1]), strict=True)) if _is_fixed(device) else None
    file = Path(str(files("onnxflow.assets") / "probe" / _FILES[precision]))
    return OrtGraph(file, _named(precision), CancelToken(), Target(device, precision, split=split), fixed)


def _is_fixed(device: Device) -> bool:
    return bool({"", device.unit} & device.facts.fixed)


def _call(graph: OrtGraph, picture: NDArray[Any]) -> NDArray[Any]:
    return graph.run({"x": picture}, CancelToken())["y"]


def _picture(batch: int, size: int) -> NDArray[Any]:
    return np.random.default_rng(0).standard_normal((batch, 4, size, size)).astype(np.float32)

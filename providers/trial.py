"""Trying a device: a small network on it, compared with the same on the CPU, and timed.

The network (``onnxflow.export.probe_graph`` writes it) is a denoiser in small: a convolution from 4 to 64 channels,
three blocks of InstanceNormalization, SiLU and a convolution of 64 channels, two convolutions that halve height and
width, and self-attention of what is left. Its weights are a formula's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import OnnxflowError, ProviderError
from onnxflow.models.graph_file import GraphFile
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

FIXED: Final = (1, 128)
"""The one size for a device that compiles for each size, some of them for a minute. 4 GFLOP."""

ENOUGH: Final = 0.05
"""Seconds: a call that takes longer says how fast a device is. One of less than 5 GFLOP/s stops at the first size."""

_FILES: Final[Mapping[str, str]] = {"fp32": "float32.onnx", "fp16": "float16.onnx"}
_WRONG: Final = "it computes wrong in"
_PART: Final = re.compile(r"took \d+ of \d+ heavy nodes; .*")
"""What a strict load says of a device that takes part of a graph."""
_HEAVY: Final = ("Conv", "InstanceNormalization", "Sigmoid", "MatMul", "LayerNormalization", "Softmax")
"""What the network is made of when its attention is split."""
_CALLS, _BUDGET = 8, 0.25  # at most so many timed calls, or so many seconds of them
_CPU = Device("cpu")


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it: GFLOP/s by precision where that was computed right, elsewhere what went wrong, as message and
    hint; whether attention had to be split into its standard nodes for that; what the device left to the CPU where it
    takes part of a graph by design; and the precisions that are still to come."""

    speed: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    split: bool = False
    partial: str = ""
    left: tuple[str, ...] = ()

    def told(self) -> dict[str, Any]:
        """As JSON's types: fp16 failing is no failure of a device that computes in fp32."""
        wrong = next((self.failed[name] for name in _FILES if name in self.failed), None)
        works = not wrong or ("fp32" in self.speed and "fp32" not in self.failed)
        problem, cure = wrong if wrong and not works else ("", "")
        return {
            "works": works,
            "problem": problem,
            "cure": cure,
            "speed": dict(self.speed),
            "split": self.split,
            "failed": {name: list(told) for name, told in self.failed.items()},
            "partial": self.partial,
            "left": list(self.left),
        }


def try_device(device: Device, tell: Callable[[Trial], None] = lambda _: None) -> Trial:
    """The trial of a device, in each precision that the catalog says it takes; where it computes wrong with its kernel
    for attention, once more without. ``tell`` hears what is known after each precision: the next one may be the end of
    the process."""
    found = _trial(device, False, tell)
    if not any(message.startswith(_WRONG) for message, _ in found.failed.values()) or not device.facts.has(FUSED):
        return found
    again = _trial(device, True, tell)
    return again if len(again.speed) > len(found.speed) else found


def _trial(device: Device, split: bool, tell: Callable[[Trial], None]) -> Trial:
    speed: dict[str, float] = {}
    failed: dict[str, tuple[str, str]] = {}
    wanted = [name for name in _FILES if name in device.facts.precisions] or ["fp32"]
    partial, first = "", FIXED if device.fixed else SIZES[0]
    picture = _picture(*first)
    try:
        right = _call(_graph(_CPU, "fp32", first), picture)
    except OnnxflowError as error:
        return Trial({}, dict.fromkeys(wanted, (f"the CPU does not compute it either: {error.message}", error.hint)))
    for number, precision in enumerate(wanted, start=1):
        try:
            speed[precision], part = _tried(device, precision, picture, right, split)
            partial = partial or part
        except OnnxflowError as error:
            message = error.message.removeprefix(f"{device}: ").removeprefix(f"{_named(precision)}: ")
            failed[precision] = (message.removeprefix(f"{device} "), error.hint)
        except Exception as error:  # whatever a driver raises is an answer too
            failed[precision] = (f"{type(error).__name__}: {first_line(error)}", "onnxflow doctor")
        tell(Trial(dict(speed), dict(failed), split, partial, tuple(wanted[number:])))
    return Trial(speed, failed, split, partial)


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


def _tried(
    device: Device, precision: str, picture: NDArray[Any], right: NDArray[Any], split: bool
) -> tuple[float, str]:
    """GFLOP/s in a precision, and what was left to the CPU; OnnxflowError when it does not compute, or not right."""
    graph, partial = _opened(device, precision, split)
    error = difference(_call(graph, picture), right)
    if not error <= ALLOWED[precision]:
        raise ProviderError(
            f"{_WRONG} {precision}: {error:.1e} from the CPU, {ALLOWED[precision]:.0e} is allowed",
            hint="an update of the driver or of the wheel may mend it; until then name another device",
        )
    found = 0.0
    for sizes in (FIXED,) if device.fixed else SIZES:
        try:
            seconds = _seconds(graph, _picture(*sizes))
        except OnnxflowError:
            if not found:
                raise
            break  # larger than its memory: the smaller size has told enough
        found = operations(*sizes) / seconds / 1e9
        if seconds >= ENOUGH:
            break
    graph.close()
    return round(found, 3), partial


def _opened(device: Device, precision: str, split: bool) -> tuple[OrtGraph, str]:
    """The network on a device, and what that left to the CPU: only a provider that is known not to have kernels for all
    of it may leave anything."""
    first = FIXED if device.fixed else SIZES[0]
    try:
        return _graph(device, precision, first, split), ""
    except ProviderError as error:
        part = _PART.search(error.message)
        if part is None or all(map(device.facts.has, _HEAVY)):
            raise
        partial = part[0]
    return _graph(device, precision, first, split, fallback=True), partial


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


def _graph(
    device: Device, precision: str, sizes: tuple[int, int], split: bool = False, fallback: bool = False
) -> OrtGraph:
    fixed = dict(zip(("batch", "height", "width"), (*sizes, sizes[1]), strict=True)) if device.fixed else None
    file = Path(str(files("onnxflow.assets") / "probe" / _FILES[precision]))
    target = Target(device, precision, fallback, split=split)
    return OrtGraph(GraphFile(file), _named(precision), CancelToken(), target, fixed)


def _call(graph: OrtGraph, picture: NDArray[Any]) -> NDArray[Any]:
    return graph.run({"x": picture}, CancelToken())["y"]


def _picture(batch: int, size: int) -> NDArray[Any]:
    return np.random.default_rng(0).standard_normal((batch, 4, size, size)).astype(np.float32)

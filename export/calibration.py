"""The ranges of what goes into and comes out of a denoiser's layers while it draws real pictures, for int8 graphs whose
ranges are fixed.

A range is not from the smallest to the largest value that was seen, but the part of it that costs the least squared
error when values are rounded to 256 steps of it: one value in a million must not cost the others their precision. Then
every layer is computed once more with rounded weights and activations; where that alone changes its output channels by
more than `SENSITIVE`, the layer is to be kept in higher precision.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from onnxflow.errors import InputError, ModelError, UsageError, shown
from onnxflow.export.int8_weights import KEPT, SMALLEST
from onnxflow.text.embeddings import NoEmbeddings
from onnxflow.text.groups import check as check_text
from onnxflow.text.prompt import parse

SAMPLES = 2048  # values taken of each tensor of each call
MOST_CALLS = 32  # whose values are kept as they are
SENSITIVE = 0.03  # of the norm of a layer's output channels
FRACTIONS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.6, 0.5, 0.4)
PROMPTS = (
    "a portrait of an old fisherman with a grey beard, photograph, soft light",
    "a snowy mountain village at night, oil painting, warm windows under a starry sky",
    "a bowl of fruit on a wooden table beside a blue vase, still life",
    "a city street in the rain, neon signs, people with umbrellas, wide angle",
)


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `low` (at most 0) to `high` (at least 0) in 256 steps, of which one is 0."""

    low: float
    high: float

    @property
    def scale(self) -> float:
        """The size of a step."""
        return max(self.high - self.low, 1e-6) / 255

    @property
    def zero(self) -> int:
        """The step that is 0."""
        return int(np.clip(np.rint(-self.low / self.scale), 0, 255))


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer reads and gives, and the error that int8 alone makes in its channels, relative to their norms."""

    input: Range
    output: Range
    error: float

    @property
    def sensitive(self) -> bool:
        """Whether the layer is to be kept in higher precision; NaN is."""
        return not self.error <= SENSITIVE


@dataclass(frozen=True, slots=True)
class Calibration:
    """The layers of a network by the names of their weights."""

    layers: Mapping[str, Layer]

    def encode(self, **facts: object) -> str:
        """As JSON, with facts of how it was made."""
        layers = {name: asdict(layer) for name, layer in self.layers.items()}
        return json.dumps({**facts, "layers": layers}, indent=1, sort_keys=True) + "\n"


def read_calibration(path: Path) -> Calibration:
    """What `Calibration.encode` wrote."""
    layers = json.loads(path.read_text(encoding="utf-8"))["layers"]
    return Calibration(
        {
            name: Layer(Range(**entry["input"]), Range(**entry["output"]), entry["error"])
            for name, entry in layers.items()
        }
    )


def read_prompts(path: Path) -> tuple[str, ...]:
    """The lines of a text file that are not empty; UsageError when there are none."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the prompts: {error}", where=str(path)) from None
    prompts = tuple(line.strip() for line in lines if line.strip())
    if not prompts:
        raise UsageError("there are no prompts", where=str(path), hint="write one a line")
    return prompts


def check_prompts(prompts: Sequence[str]) -> None:
    """UsageError for a prompt that no text encoder can read, before any work is done."""
    for prompt in prompts:
        try:
            check_text(parse(prompt), NoEmbeddings())
        except InputError as error:
            raise UsageError(f"the prompt {shown(prompt)} cannot be used: {error.message}", hint=error.hint) from None


def calibrate(network: nn.Module, runs: Sequence[Callable[[], object]], check: Callable[[], object]) -> Calibration:
    """The calibration of a network over `runs`, each of which draws a picture with it; `check` draws one more in a few
    steps, in which every layer's error is measured."""
    layers = dict(_layers(network))
    inputs, outputs = ({name: _Seen() for name in layers} for _ in range(2))

    def see(name: str, layer: nn.Conv2d | nn.Linear, x: Tensor, y: Tensor) -> None:
        if x.ndim > 2:  # the embedding of the time is a vector: its layers compute in fp32
            inputs[name].add(x)
            outputs[name].add(y)

    with _watching(layers, see):
        for run in runs:
            run()
    layers = {name: layer for name, layer in layers.items() if inputs[name].seen}
    ranges = {name: (inputs[name].range(), outputs[name].range()) for name in layers}
    errors: dict[str, list[float]] = {name: [] for name in layers}
    with _watching(layers, lambda name, layer, x, y: errors[name].append(_error(layer, *ranges[name], x, y))):
        check()
    return Calibration(
        {
            name: Layer(source, result, float(f"{np.sqrt(np.mean(np.square(errors[name]))):.3g}"))
            for name, (source, result) in ranges.items()
        }
    )


class _Seen:
    """A sample of the values of a tensor over many calls, their extremes, and how many there were in all.

    The sample lies in one block from the first call on: small pieces, kept between the large ones that a network takes
    and gives back, would hinder the allocator from using these again (a pair of calls of SD1.5 cost 0.24 GB).
    """

    def __init__(self) -> None:
        self._block = torch.empty(0)
        self._used = 0
        self._extremes: list[float] = []
        self._count = 0

    def add(self, values: Tensor) -> None:
        """Every n-th value of a call. n is odd: no channel is left out for being at an even place."""
        if not len(self._block):
            self._block = torch.empty(SAMPLES * MOST_CALLS)
        flat = values.detach().reshape(-1)
        taken = flat[:: -(-flat.numel() // SAMPLES) | 1]
        if self._used + len(taken) > len(self._block):  # of many prompts no more memory than of a few
            half = self._block[: self._used : 2].clone()
            self._block[: len(half)] = half
            self._used = len(half)
        self._block[self._used : self._used + len(taken)] = taken
        self._used += len(taken)
        self._extremes += [float(flat.min()), float(flat.max())]
        self._count += flat.numel()

    @property
    def seen(self) -> bool:
        """Whether there was anything."""
        return self._count > 0

    def range(self) -> Range:
        """The part of the range of the values that costs the least squared error."""
        samples, extremes = self._block[: self._used].numpy(), np.array(self._extremes, np.float32)
        if not np.isfinite(extremes).all():
            raise ModelError(
                "the denoiser's values overflow while it draws",
                hint="calibrate on ordinary prompts, without large weights; export fp32 and look at its pictures",
            )
        low, high = min(float(extremes.min()), 0.0), max(float(extremes.max()), 0.0)

        def cost(given: Range) -> float:
            return float(_errors(samples, given).mean() + _errors(extremes, given).sum() / self._count)

        # One end after the other: of most tensors one end is far out, and the other must not follow.
        best = min((Range(_rounded(low), _rounded(high * fraction)) for fraction in FRACTIONS), key=cost)
        return min((Range(_rounded(low * fraction), best.high) for fraction in FRACTIONS), key=cost)


def _layers(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d | nn.Linear]]:
    for name, module in network.named_modules():
        weight = f"{name}.weight"
        if (
            isinstance(module, nn.Conv2d | nn.Linear)
            and module.weight.numel() >= SMALLEST
            and not weight.endswith(KEPT)
        ):
            yield weight, module


@contextmanager
def _watching(
    layers: Mapping[str, nn.Conv2d | nn.Linear], see: Callable[[str, nn.Conv2d | nn.Linear, Tensor, Tensor], None]
) -> Iterator[None]:
    """Call `see` with the name, the layer, its input and output whenever one of the layers has run."""
    hooks = [
        layer.register_forward_hook(lambda module, inputs, output, name=name: see(name, module, inputs[0], output))
        for name, layer in layers.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _rounded(value: float) -> float:
    """Five digits: the last bits of a sum depend on the number of threads."""
    return float(f"{value:.5g}")


def _errors(values: NDArray[np.float32], given: Range) -> NDArray[np.float32]:
    """Squared errors of the values when they are rounded."""
    steps = np.clip(np.rint(values / np.float32(given.scale)) + given.zero, 0, 255) - given.zero
    return np.square(steps * np.float32(given.scale) - values)


@torch.no_grad()
def _error(layer: nn.Conv2d | nn.Linear, source: Range, result: Range, x: Tensor, y: Tensor) -> float:
    """The error of a layer's output when weights and activations are rounded, relative to its norm, of each channel and
    at most 1, and of these the root of the mean square."""
    rounded = torch.fake_quantize_per_tensor_affine(x, source.scale, source.zero, 0, 255)
    weight = layer.weight
    scale = (weight.abs().flatten(1).amax(1) / 127).clamp(min=1e-12)
    zeros = torch.zeros(len(scale), dtype=torch.int32)
    weight = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -127, 127)
    if isinstance(layer, nn.Linear):
        found = F.linear(rounded, weight, layer.bias)
    else:
        found = F.conv2d(rounded, weight, layer.bias, layer.stride, layer.padding, layer.dilation, layer.groups)
        found = torch.fake_quantize_per_tensor_affine(found, result.scale, result.zero, 0, 255)
    # Channel by channel: norms that follow make the quiet ones as loud as the loud.
    axis = 1 if isinstance(layer, nn.Conv2d) else -1
    wanted, missed = (values.movedim(axis, 0).flatten(1).norm(dim=1) for values in (y, found - y))
    errors = torch.where(wanted > 0, missed / wanted.clamp(min=1e-30), 0.0).clamp(max=1.0)
    return float(errors.square().mean().sqrt())

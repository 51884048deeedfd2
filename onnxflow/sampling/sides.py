"""The predictions of several sides of conditions (positive, negative ...), in as few model calls as possible."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np

from onnxflow.errors import InputError, MemoryLimitError
from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.place import Placed, place_sides
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.terms import Term
from onnxflow.sampling.told import NOTHING, Told

_WHERE: Final = "guidance"

# Contexts of two lengths are repeated to a common one up to this factor; beyond it a call of its own is cheaper.
_MOST_REPEATS: Final = 4

# Where no condition has weight the result is 0, not 0/0.
_NOTHING: Final = np.float32(1e-37)


class BatchDenoiser(Protocol):
    """A denoiser that takes a context for each sample; ``NetworkDenoiser`` is one."""

    @property
    def model_sampling(self) -> ModelSampling:
        """The noise process the network was trained for."""
        ...

    def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
        """Denoised [b,c,h,w] for ``x`` [b,c,h,w] at ``sigma`` with ``context`` [b,s,d] and ``told``, [b,d] by name."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """Conditions that share a model call, below each other, each for a whole batch; ``parts`` remembers what goes with
    some of the rows, because a device uploads the same array once."""

    members: tuple[tuple[int, Placed], ...]
    context: Array
    told: Told
    parts: dict[tuple[int, int], tuple[Array, Told]] = field(default_factory=dict)

    def part(self, start: int, stop: int) -> tuple[Array, Told]:
        """The context and what else is told for rows ``start`` to ``stop``; the same objects every time."""
        if stop - start == len(self.context):
            return self.context, self.told
        if (start, stop) not in self.parts:
            told = {name: array[start:stop] for name, array in self.told.items()}
            self.parts[start, stop] = self.context[start:stop], told
        return self.parts[start, stop]


@dataclass(frozen=True, slots=True, eq=False)
class _Plan:
    """What is done at noise levels where the same conditions are used: the calls, and the sum of weights by side."""

    calls: tuple[_Call, ...]
    weights: Mapping[int, Array]


class Sides:
    """Sides of conditions, their predictions each the mean of its conditions' by weight.

    A condition with an area sees that part of the latent alone. Conditions share a model call where their sizes and
    contexts allow it, in calls of at most ``max_batch`` samples; the number is halved when the memory does not suffice.
    """

    def __init__(
        self, denoiser: BatchDenoiser, sides: Sequence[Sequence[Term]], *, max_batch: int | None = None
    ) -> None:
        if max_batch is not None and max_batch < 1:
            raise InputError(f"max_batch is {max_batch}, expected 1 or more", where=_WHERE)
        self._denoiser = denoiser
        self._sides = tuple(tuple(side) for side in sides)
        self._most = max_batch
        self._placed: dict[tuple[int, ...], tuple[tuple[int, Placed], ...]] = {}
        self._plans: dict[tuple[tuple[int, ...], tuple[int, ...]], _Plan] = {}

    def __call__(self, x: Array, sigma: np.float32, wanted: Sequence[bool]) -> tuple[Array, ...]:
        """The prediction [b,c,h,w] of each side for ``x`` at ``sigma``: zeros for a side that is not wanted and where
        no condition holds.

        InputError for an area outside the latent and for strengths that cancel out; MemoryLimitError when there is not
        enough for one sample.
        """
        plan = self._plan(x.shape, sigma, wanted)
        found: list[list[tuple[Placed, Array]]] = [[] for _ in self._sides]
        for call in plan.calls:
            outputs = self._outputs(call, x, sigma)
            for place, (side, placed) in enumerate(call.members):
                found[side].append((placed, outputs[place * len(x) : (place + 1) * len(x)]))
        return tuple(_mean(predictions, plan.weights.get(side), x) for side, predictions in enumerate(found))

    def _plan(self, shape: tuple[int, ...], sigma: np.float32, wanted: Sequence[bool]) -> _Plan:
        if shape not in self._placed:
            sides = place_sides(self._sides, shape)
            self._placed[shape] = tuple((k, placed) for k, side in enumerate(sides) for placed in side)
        everything = self._placed[shape]
        active = tuple(k for k, (side, one) in enumerate(everything) if wanted[side] and one.term.holds_at(sigma))
        if (shape, active) not in self._plans:
            self._plans[shape, active] = _planned([everything[k] for k in active], shape)
        return self._plans[shape, active]

    def _outputs(self, call: _Call, x: Array, sigma: np.float32) -> Array:
        """The predictions of a call's conditions for ``x``, one below the other."""
        rows = np.concatenate([placed.window.of(x) for _, placed in call.members])
        outputs: list[Array] = []
        start = 0
        while start < len(rows):
            stop = min(start + (self._most or len(rows)), len(rows))
            context, told = call.part(start, stop)
            try:
                outputs.append(self._denoiser(rows[start:stop], sigma, context, told))
            except MemoryLimitError:
                if stop - start == 1:
                    raise
                self._most = (stop - start) // 2
            else:
                start = stop
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)


def _planned(active: Sequence[tuple[int, Placed]], shape: tuple[int, ...]) -> _Plan:
    batch, _, height, width = shape
    calls = []
    weights: dict[int, Array] = {}
    for group in _groups(active):
        group_terms = [placed.term for _, placed in group]
        told = {name: _rows([term.told[name] for term in group_terms], batch) for name in group_terms[0].told}
        calls.append(_Call(tuple(group), _stack([term.context for term in group_terms], batch), told))
        for side, placed in group:
            if side not in weights:
                weights[side] = np.full((batch, 1, height, width), _NOTHING)
            part = placed.window.of(weights[side])
            part += placed.weight
    for total in weights.values():
        if not total.all():
            raise InputError(
                "the strengths of conditions that hold for the same place add up to 0",
                where=_WHERE,
                hint="change one of the strengths",
            )
        total.flags.writeable = False
    return _Plan(tuple(calls), weights)


def _mean(predictions: Sequence[tuple[Placed, Array]], weights: Array | None, x: Array) -> Array:
    """The mean of one side's predictions by weight; zeros when there is none."""
    if weights is None:
        return np.zeros_like(x)
    if len(predictions) == 1:
        placed, output = predictions[0]
        if placed.area is None and placed.weight.size == 1 and placed.weight.item() == 1.0:
            return output
    total = np.zeros_like(x)
    for placed, output in predictions:
        part = placed.window.of(total)
        part += output * placed.weight
    total /= weights
    return total


def _groups(active: Sequence[tuple[int, Placed]]) -> Iterator[list[tuple[int, Placed]]]:
    """The conditions in groups that one call can hold: each has all that go with its first one, the last one first."""
    left = list(active)
    while left:
        together = [_share_call(left[0][1], other) for _, other in left]
        yield [one for one, taken in zip(left, together, strict=True) if taken][::-1]
        left = [one for one, taken in zip(left, together, strict=True) if not taken]


def _share_call(one: Placed, other: Placed) -> bool:
    """Whether two conditions fit one call: windows of one size, told the same kind of things, contexts of equal width
    and of lengths that meet within a few repetitions."""
    a, b = one.term.context, other.term.context
    shorter: int = min(a.shape[1], b.shape[1])
    repeats = math.lcm(a.shape[1], b.shape[1]) // shorter
    kinds = [{name: array.shape[1:] for name, array in placed.term.told.items()} for placed in (one, other)]
    sizes = [(placed.window.height, placed.window.width) for placed in (one, other)]
    same_width: bool = a.shape[2] == b.shape[2]
    return same_width and repeats <= _MOST_REPEATS and kinds[0] == kinds[1] and sizes[0] == sizes[1]


def _stack(contexts: Sequence[Array], batch: int) -> Array:
    """The contexts [n,s,d] as one [len(contexts) * batch, s', d]; repeating all tokens leaves attention unchanged."""
    length = math.lcm(*(context.shape[1] for context in contexts))
    return _rows([np.tile(context, (1, length // context.shape[1], 1)) for context in contexts], batch)


def _rows(arrays: Sequence[Array], batch: int) -> Array:
    """Arrays [n,...] as one [len(arrays) * batch, ...], the rows of each over and over, that nobody can write to."""
    stacked = np.concatenate([np.take(array, np.arange(batch) % len(array), axis=0) for array in arrays])
    stacked.flags.writeable = False  # the same in every step: a device uploads it once
    return stacked

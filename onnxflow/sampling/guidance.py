"""Classifier-free guidance: which conditions a step uses, how they share model calls, and how they are combined.

A ``Term`` is one condition as a step needs it. Terms of one side (positive or negative) are averaged by strength; the
two sides are combined by Ho & Salimans (2022), eq. 6, written as uncond + cfg (cond - uncond).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.told import NOTHING, Tell, Told

if TYPE_CHECKING:
    from onnxflow.values import Cond, Conditioning

_WHERE = "guidance"

# Contexts of two lengths are repeated to a common one up to this factor; beyond it a call of its own is cheaper.
_MOST_REPEATS = 4

# Options of a condition that change the picture and cannot be honoured yet; ignoring them would be silent damage.
_UNSUPPORTED = ("area", "mask", "control", "gligen", "hooks")

# A side whose conditions are all out of their range is 0, not 0/0.
_NOTHING = np.float32(1e-37)


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
class Term:
    """One condition: context [n,s,d], its weight, the noise levels (end <= sigma <= start) it holds for, and what else
    the network is told with it, [n,d] by name."""

    context: Array
    strength: float = 1.0
    start_sigma: float = math.inf
    end_sigma: float = 0.0
    told: Told = field(default_factory=lambda: NOTHING)

    def holds_at(self, sigma: np.float32) -> bool:
        """Whether the condition is used at ``sigma``."""
        return bool(np.float32(self.end_sigma) <= sigma <= np.float32(self.start_sigma))


def terms(
    conditioning: Conditioning, model_sampling: ModelSampling, tell: Tell | None = None, *, negative: bool = False
) -> tuple[Term, ...]:
    """The terms of a CONDITIONING value, with what ``tell`` says of each; InputError when it is empty or has an option
    that cannot be honoured."""
    if not conditioning.entries:
        raise InputError("the conditioning has no entry", where=_WHERE, hint="connect a CLIPTextEncode node")
    return tuple(
        _term(entry, model_sampling, tell(entry, negative) if tell else NOTHING) for entry in conditioning.entries
    )


def _term(entry: Cond, model_sampling: ModelSampling, told: Told) -> Term:
    for option in _UNSUPPORTED:
        if entry.extras.get(option) is not None:
            raise InputError(
                f"a condition has the option {option!r}, which is not supported yet",
                where=_WHERE,
                hint="remove the node that sets it",
            )
    levels = model_sampling.levels
    start, end = entry.extras.get("start_percent"), entry.extras.get("end_percent")
    return Term(
        entry.cross_attn,
        strength=_number(entry.extras.get("strength", 1.0), "strength"),
        start_sigma=math.inf if start is None else levels.percent_to_sigma(_number(start, "start_percent")),
        end_sigma=0.0 if end is None else levels.percent_to_sigma(_number(end, "end_percent")),
        told=told,
    )


def _number(value: Any, name: str) -> float:
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InputError(f"{name} of a condition is {value!r}, expected a finite number", where=_WHERE)
    return float(value)


class CfgDenoiser:
    """A denoiser guided by positive and negative conditions; at cfg 1 the negative side is not computed.

    Conditions share one model call where their contexts allow it, in calls of at most ``max_batch`` samples.
    """

    def __init__(
        self,
        denoiser: BatchDenoiser,
        positive: Sequence[Term],
        negative: Sequence[Term],
        cfg: float,
        *,
        max_batch: int | None = None,
    ) -> None:
        if not math.isfinite(cfg):
            raise InputError(f"cfg is {cfg}, expected a finite number", where=_WHERE)
        if max_batch is not None and max_batch < 1:
            raise InputError(f"max_batch is {max_batch}, expected 1 or more", where=_WHERE)
        self._denoiser = denoiser
        self._positive = tuple(positive)
        self._negative = () if math.isclose(cfg, 1.0) else tuple(negative)
        self._cfg = np.float32(cfg)
        self._max_batch = max_batch
        self._contexts: dict[tuple[tuple[int, ...], int], tuple[Array, Told]] = {}
        self.model_sampling = denoiser.model_sampling

    def __call__(self, x: Array, sigma: np.float32) -> Array:
        """The guided prediction [b,c,h,w] for ``x`` at ``sigma``."""
        cond, uncond = self.sides(x, sigma)
        return cond if uncond is None else uncond + (cond - uncond) * self._cfg

    def sides(self, x: Array, sigma: np.float32) -> tuple[Array, Array | None]:
        """The positive and the negative prediction, the latter None when it is not used."""
        everything = self._negative + self._positive
        active = [k for k, term in enumerate(everything) if term.holds_at(sigma)]
        outputs: dict[int, Array] = {}
        for group in _groups(everything, active):
            stacked = self._call(x, sigma, everything, group)
            for place, k in enumerate(group):
                outputs[k] = stacked[place * len(x) : (place + 1) * len(x)]
        split = len(self._negative)
        uncond = {k: output for k, output in outputs.items() if k < split}
        cond = {k: output for k, output in outputs.items() if k >= split}
        return (
            _average(everything, cond, x),
            _average(everything, uncond, x) if self._negative else None,
        )

    def _call(self, x: Array, sigma: np.float32, everything: Sequence[Term], group: tuple[int, ...]) -> Array:
        """The predictions of a group of terms for ``x``, one below the other."""
        key = (group, len(x))
        if key not in self._contexts:
            chosen = [everything[k] for k in group]
            stacked = {name: _rows([term.told[name] for term in chosen], len(x)) for name in chosen[0].told}
            self._contexts[key] = _stack([term.context for term in chosen], len(x)), stacked
        context, told = self._contexts[key]
        rows = x if len(group) == 1 else np.concatenate([x] * len(group))
        most = self._max_batch or len(rows)
        if len(rows) <= most:
            return self._denoiser(rows, sigma, context, told)
        parts = [slice(k, k + most) for k in range(0, len(rows), most)]
        return np.concatenate(
            [
                self._denoiser(rows[part], sigma, context[part], {name: array[part] for name, array in told.items()})
                for part in parts
            ]
        )


def _average(everything: Sequence[Term], outputs: dict[int, Array], x: Array) -> Array:
    """The mean of one side's predictions weighted by strength; zeros when there is none."""
    if len(outputs) == 1:
        (k,) = outputs
        if everything[k].strength == 1.0:
            return outputs[k]
    total, weights = np.zeros_like(x), _NOTHING
    for k, output in outputs.items():
        strength = np.float32(everything[k].strength)
        total += output * strength
        weights = weights + strength
    return total / weights


def _groups(everything: Sequence[Term], active: Sequence[int]) -> list[tuple[int, ...]]:
    """The active terms as few groups as possible, each of contexts that one call can hold."""
    groups: list[list[int]] = []
    for k in active:
        for group in groups:
            if all(_share_call(everything[k], everything[other]) for other in group):
                group.append(k)
                break
        else:
            groups.append([k])
    return [tuple(group) for group in groups]


def _share_call(one: Term, other: Term) -> bool:
    """Whether two terms fit one call: told the same kind of things, contexts of equal width and of lengths that meet
    within a few repetitions."""
    a, b = one.context, other.context
    shorter: int = min(a.shape[1], b.shape[1])
    repeats = math.lcm(a.shape[1], b.shape[1]) // shorter
    kinds = [{name: array.shape[1:] for name, array in term.told.items()} for term in (one, other)]
    return bool(a.shape[2] == b.shape[2]) and repeats <= _MOST_REPEATS and kinds[0] == kinds[1]


def _stack(contexts: Sequence[Array], batch: int) -> Array:
    """The contexts [n,s,d] as one [len(contexts) * batch, s', d]; repeating all tokens leaves attention unchanged."""
    length = math.lcm(*(context.shape[1] for context in contexts))
    rows = [_repeated(context, batch) for context in contexts]
    stacked = np.concatenate([np.tile(row, (1, length // row.shape[1], 1)) for row in rows])
    stacked.flags.writeable = False  # the same in every step: a device uploads it once
    return stacked


def _rows(arrays: Sequence[Array], batch: int) -> Array:
    """Arrays [n,d] as one [len(arrays) * batch, d]."""
    return np.concatenate([_repeated(array, batch) for array in arrays])


def _repeated(array: Array, batch: int) -> Array:
    """The rows of an array over and over, ``batch`` in all."""
    return np.take(array, np.arange(batch) % len(array), axis=0)

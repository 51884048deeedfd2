"""Text conditions combined, and told where, when and how strongly they hold: the Conditioning nodes."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np

from onnxflow.errors import InputError
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo, Float, Int
from onnxflow.values import Array, Cond, Conditioning, Mask

Strength = Annotated[float, Float(0.0, 10.0, step=0.01)]
Size = Annotated[int, Int(64, 16384, step=8)]
Offset = Annotated[int, Int(0, 16384, step=8)]
Share = Annotated[float, Float(0, 1.0, step=0.01)]
Weight = Annotated[float, Float(0.0, 1.0, step=0.01)]
Percent = Annotated[float, Float(0.0, 1.0, step=0.001)]
MaskArea = Annotated[str, Combo(("default", "mask bounds"))]


@node("ConditioningCombine", category="conditioning", display_name="Conditioning (Combine)")
def conditioning_combine(conditioning_1: Conditioning, conditioning_2: Conditioning) -> Conditioning:
    """The conditions of both: the sampler averages what they predict."""
    return Conditioning(conditioning_1.entries + conditioning_2.entries)


@node("ConditioningConcat", category="conditioning", display_name="Conditioning (Concat)")
def conditioning_concat(conditioning_to: Conditioning, conditioning_from: Conditioning) -> Conditioning:
    """Each condition of ``conditioning_to`` with the tokens of the first one of ``conditioning_from`` after its own."""
    source = _first(conditioning_from)
    entries = []
    for entry in conditioning_to.entries:
        _check_fit(entry.cross_attn, source.cross_attn, "states")
        entries.append(replace(entry, cross_attn=np.concatenate([entry.cross_attn, source.cross_attn], axis=1)))
    return Conditioning(tuple(entries))


@node("ConditioningAverage", category="conditioning", display_name="ConditioningAverage")
def conditioning_average(
    conditioning_to: Conditioning, conditioning_from: Conditioning, conditioning_to_strength: Weight = 1.0
) -> Conditioning:
    """Each condition of ``conditioning_to`` mixed with the first one of ``conditioning_from``, token by token, with
    weights that add up to 1."""
    source = _first(conditioning_from)
    entries = []
    for entry in conditioning_to.entries:
        states, pooled = entry.cross_attn, entry.pooled
        other = _of_length(source.cross_attn, states.shape[1])
        _check_fit(states, other, "states")
        if source.pooled is not None:
            pooled = source.pooled if pooled is None else pooled
            _check_fit(pooled, source.pooled, "pooled output")
            pooled = _mixed(pooled, source.pooled, conditioning_to_strength)
        entries.append(replace(entry, cross_attn=_mixed(states, other, conditioning_to_strength), pooled=pooled))
    return Conditioning(tuple(entries))


@node("ConditioningSetArea", category="conditioning", display_name="Conditioning (Set Area)")
def conditioning_set_area(
    conditioning: Conditioning,
    width: Size = 64,
    height: Size = 64,
    x: Offset = 0,
    y: Offset = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """The conditions for a rectangle of the picture, in pixels."""
    area = (height // 8, width // 8, y // 8, x // 8)
    return _with(conditioning, area=area, strength=strength, set_area_to_bounds=False)


@node("ConditioningSetAreaPercentage", category="conditioning", display_name="Conditioning (Set Area with Percentage)")
def conditioning_set_area_percentage(
    conditioning: Conditioning,
    width: Share = 1.0,
    height: Share = 1.0,
    x: Share = 0,
    y: Share = 0,
    strength: Strength = 1.0,
) -> Conditioning:
    """The conditions for a rectangle of the picture, in shares of its width and height."""
    area = ("percentage", height, width, y, x)
    return _with(conditioning, area=area, strength=strength, set_area_to_bounds=False)


@node("ConditioningSetAreaStrength", category="conditioning", display_name="ConditioningSetAreaStrength")
def conditioning_set_area_strength(conditioning: Conditioning, strength: Strength = 1.0) -> Conditioning:
    """The conditions with another weight among those of the same place."""
    return _with(conditioning, strength=strength)


@node("ConditioningSetMask", category="conditioning", display_name="Conditioning (Set Mask)")
def conditioning_set_mask(
    *, conditioning: Conditioning, mask: Mask, strength: Strength = 1.0, set_cond_area: MaskArea
) -> Conditioning:
    """The conditions weighted by a mask; with "mask bounds" the network sees no more than where it is not 0."""
    return _with(
        conditioning,
        mask=mask.values,
        set_area_to_bounds=set_cond_area != "default",
        mask_strength=strength,
    )


@node("ConditioningZeroOut", category="advanced/conditioning", display_name="ConditioningZeroOut")
def conditioning_zero_out(conditioning: Conditioning) -> Conditioning:
    """The conditions with zeros instead of a text."""
    return Conditioning(
        tuple(
            replace(
                entry,
                cross_attn=np.zeros_like(entry.cross_attn),
                pooled=None if entry.pooled is None else np.zeros_like(entry.pooled),
            )
            for entry in conditioning.entries
        )
    )


@node("ConditioningSetTimestepRange", category="advanced/conditioning", display_name="ConditioningSetTimestepRange")
def conditioning_set_timestep_range(
    conditioning: Conditioning, start: Percent = 0.0, end: Percent = 1.0
) -> Conditioning:
    """The conditions for a part of the sampling, in shares of it."""
    return _with(conditioning, start_percent=start, end_percent=end)


def _with(conditioning: Conditioning, **options: Any) -> Conditioning:
    """The conditions with some options more, or others."""
    return Conditioning(
        tuple(replace(entry, extras=MappingProxyType({**entry.extras, **options})) for entry in conditioning.entries)
    )


def _first(conditioning: Conditioning) -> Cond:
    if not conditioning.entries:
        raise InputError("conditioning_from has no entry", hint="connect a CLIPTextEncode node")
    return conditioning.entries[0]


def _check_fit(one: Array, other: Array, name: str) -> None:
    """InputError when two texts differ in more than their number of tokens."""
    if one.shape[-1] != other.shape[-1] or len(one) != len(other):
        raise InputError(
            f"the two texts do not go together: the {name} of conditioning_to are {one.shape[-1]} wide and {len(one)}"
            f" in number, those of conditioning_from {other.shape[-1]} and {len(other)}",
            hint="encode both with the CLIP of one checkpoint",
        )


def _of_length(states: Array, tokens: int) -> Array:
    """States [n,s,d] cut to ``tokens``, or with zeros for those that are missing."""
    missing = max(0, tokens - states.shape[1])
    return np.pad(states[:, :tokens], ((0, 0), (0, missing), (0, 0)))


def _mixed(one: Array, other: Array, weight: float) -> Array:
    mixed: Array = one * np.float32(weight) + other * np.float32(1.0 - weight)
    return mixed

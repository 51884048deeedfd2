"""Conditions placed in a latent of one size: which part of it each sees, and with what weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnxflow.sampling.area import Area, AreaShare, bounds, feather
from onnxflow.sampling.mask import latent_mask
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.terms import Term


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A term with its ``area`` in latent units (None: everywhere), the ``window`` of the latent that it sees, and its
    ``weight`` there: [b,1,h,w], or with ones for what does not differ."""

    term: Term
    area: Area | None
    window: Area
    weight: Array


def place_sides(sides: Sequence[Sequence[Term]], shape: tuple[int, ...]) -> tuple[tuple[Placed, ...], ...]:
    """Each side's terms in a latent of ``shape`` [b,c,h,w], with their counterparts.

    Where one side says something about an area and another does not, the difference of the two would be that of two
    different windows; so each area is added to the other sides, with the text that they have there: that of the
    smallest area around it. InputError when an area lies outside the latent.
    """
    found = [[_placed(term, shape) for term in side] for side in sides]
    for side in found:
        for one in side:
            for other in found:
                if other is not side:
                    other.extend(_counterpart(one, other))
    return tuple(tuple(side) for side in found)


def _placed(term: Term, shape: tuple[int, ...]) -> Placed:
    batch, _, height, width = shape
    area = term.area.resolved(height, width) if isinstance(term.area, AreaShare) else term.area
    mask = None
    if term.mask is not None:
        mask = latent_mask(term.mask, (len(term.mask), 1, height, width))
        if term.mask_bounds:
            area = bounds(mask[:, 0])
    window = Area(height, width) if area is None else area.clipped(height, width)
    strength = np.float32(term.strength)
    if mask is not None:
        weight = window.of(mask) * np.float32(term.mask_strength) * strength
        weight = np.take(weight, np.arange(batch) % len(weight), axis=0)
    elif area is not None:
        rows, columns = feather(window, height, width)
        weight = (strength * rows * columns)[None, None]
    else:
        weight = np.full((1, 1, 1, 1), strength)
    weight.flags.writeable = False
    return Placed(term, area, window, weight)


def _counterpart(one: Placed, others: Sequence[Placed]) -> list[Placed]:
    """``one`` with the text that ``others`` have for its area; none when it has no area, or they have the same one."""
    if one.area is None:
        return []
    matches = [(other.area.size, k) for k, other in enumerate(others) if other.area and other.area.holds(one.area)]
    if not matches:
        matches = [(0, k) for k, other in enumerate(others) if other.area is None]
    if not matches:
        return []
    match = others[min(matches)[1]]
    if match.area == one.area:
        return []
    return [replace(one, term=replace(one.term, context=match.term.context, told=match.term.told))]

"""What an interpolation reads along one axis: which old places make a new one, and how much of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """The new place j is the sum over k of ``weights[k, j]`` times the old place ``places[k, j]``.

    ``places`` int [taps, new], ``weights`` float32 or float64 [taps, new]; sums are made in the weights' type.
    """

    places: NDArray[np.intp]
    weights: NDArray[Any]

    def part(self, start: int, stop: int) -> Taps:
        """The taps of the new places from ``start`` to before ``stop``."""
        return Taps(self.places[:, start:stop], self.weights[:, start:stop])

    def moved(self, offset: int) -> Taps:
        """The same taps where the old places are numbered from ``offset``."""
        return Taps(self.places - offset, self.weights)

    def rows(self, values: NDArray[Any]) -> NDArray[Any]:
        """``values`` [old, n] interpolated along the first axis: [new, n]."""
        total: NDArray[Any] | None = None
        for places, weights in zip(self.places, self.weights[:, :, np.newaxis], strict=True):
            chosen = _slice(places)
            term = values[chosen]
            if isinstance(chosen, slice):
                term = term * weights
            else:
                term = term.astype(weights.dtype, copy=False)
                term *= weights
            if total is None:
                total = term
            else:
                total += term
        assert total is not None
        return total

    def repeated(self, inner: int) -> Taps:
        """The same taps for ``columns`` of ``inner`` values each."""
        return Taps(self.places, np.repeat(self.weights, inner, axis=1))

    def columns(self, values: NDArray[Any]) -> NDArray[Any]:
        """``values`` [n, old, inner] interpolated along the second axis: [n, new * inner]; the weights are those of
        ``repeated``."""
        values = np.ascontiguousarray(values)  # else every np.take would copy them first
        shape = (len(values), -1)
        return self._sum(lambda places: np.take(values, places, axis=1).reshape(shape), self.weights)

    def _sum(self, taken: Callable[[NDArray[np.intp]], NDArray[Any]], weights: NDArray[Any]) -> NDArray[Any]:
        total: NDArray[Any] | None = None
        for places, weight in zip(self.places, weights, strict=True):
            term = taken(places).astype(weights.dtype, copy=False)
            term *= weight  # in place, here and below: new memory costs more than the arithmetic
            if total is None:
                total = term
            else:
                total += term
        assert total is not None
        return total


def _slice(places: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """``places`` as a slice where they are equally far from each other, as where a size is divided by a whole number:
    then nothing has to be gathered."""
    if len(places) < 2 or places[1] <= places[0] or (np.diff(places) != places[1] - places[0]).any():
        return places
    return slice(int(places[0]), int(places[-1]) + 1, int(places[1] - places[0]))


def centres(old: int, new: int) -> Array:
    """Where the centres of ``new`` pixels lie between those of ``old``: float32 [new], 0 being the first old centre.

    Pixel centres are at half coordinates: (j + 0.5) * old / new - 0.5. The ratio is rounded to float32 and the rest is
    rounded once, as PyTorch's fused multiply-add does.
    """
    found: Array = ((np.arange(new) + 0.5) * float(np.float32(old / new)) - 0.5).astype(np.float32)
    return found

"""What is made of a schedule that there is: parts of it, its reverse, more levels. All sigmas are float32 [n]."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from onnxflow.errors import InputError, did_you_mean
from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.ramps import linspace

_WHERE = "sigmas"

# What a schedule that is walked upwards starts with instead of 0, at which there is nothing to scale.
_ALMOST_ZERO = np.float32(0.0001)

_SPACINGS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "linear": lambda u: u,
        "cosine": lambda u: np.sin(_right_angles(u)).astype(np.float32),
        "sine": lambda u: np.float32(1) - np.cos(_right_angles(u)).astype(np.float32),
    }
)

SPACINGS = tuple(_SPACINGS)
"""How levels between two others may lie: evenly, more of them towards the second, or towards the first."""


def split(sigmas: Array, step: int) -> tuple[Array, Array]:
    """The first ``step`` steps and the rest; both have the level between them. InputError for a negative step."""
    if step < 0:
        raise InputError(f"step is {step}, expected 0 or more", where=_WHERE)
    return sigmas[: step + 1], sigmas[step:]


def split_denoise(sigmas: Array, denoise: float) -> tuple[Array, Array]:
    """The steps before the last round(steps denoise), and these; both have the level between them.

    Where these are none, the first part is empty and the second has the last level only, as in ComfyUI. Halves round to
    the even number. InputError for a denoise outside 0..1.
    """
    if not 0.0 <= denoise <= 1.0:
        raise InputError(f"denoise is {denoise}, allowed: 0 to 1", where=_WHERE)
    last = round(max(len(sigmas) - 1, 0) * denoise)
    return sigmas[:-last] if last else sigmas[:0], sigmas[-(last + 1) :]


def flip(sigmas: Array) -> Array:
    """The levels from the last to the first; 0 at the start becomes 0.0001."""
    flipped = sigmas[::-1].copy()
    if len(flipped) and flipped[0] == 0:
        flipped[0] = _ALMOST_ZERO
    return flipped


def with_first(sigmas: Array, sigma: float) -> Array:
    """The levels with ``sigma`` instead of the first; InputError when there are none, and for 0 before others."""
    if len(sigmas) == 0:
        raise InputError(
            "the schedule is empty: there is no first sigma to set",
            where=_WHERE,
            hint="raise the denoise of the scheduler before it above 0",
        )
    if sigma == 0 and len(sigmas) > 1:
        raise InputError(
            "the first sigma cannot be 0, where more levels follow: there is no step from a clean latent",
            where=_WHERE,
            hint="use a sigma above 0",
        )
    changed = sigmas.copy()
    changed[0] = sigma
    return changed


def extend(sigmas: Array, steps: int, start_at_sigma: float, end_at_sigma: float, spacing: str) -> Array:
    """The levels with ``steps`` - 1 more in every step that starts from ``start_at_sigma`` down to ``end_at_sigma``.

    A negative ``start_at_sigma`` is infinity. ``spacing`` is one of ``SPACINGS``. InputError for another, and for steps
    below 1.
    """
    if spacing not in _SPACINGS:
        raise InputError(
            f"unknown spacing {spacing!r}", where=_WHERE, hint=did_you_mean(spacing, SPACINGS, what="spacings")
        )
    if steps < 1:
        raise InputError(f"steps is {steps}, expected 1 or more", where=_WHERE)
    largest = math.inf if start_at_sigma < 0 else start_at_sigma
    shares = _SPACINGS[spacing](linspace(0.0, 1.0, steps + 1)[1:-1])
    parts: list[Array] = []
    for sigma, following in pairwise(sigmas):
        parts.append(np.array([sigma], np.float32))
        if end_at_sigma <= sigma <= largest:
            parts.append(shares * (following - sigma) + sigma)
    return np.concatenate([*parts, sigmas[-1:]])


def at_percent(model_sampling: ModelSampling, percent: float, *, actual: bool) -> float:
    """The noise level after a share (0..1) of the sampling; with ``actual`` the model's own largest and smallest level
    at the ends, where it is else above and below all of them."""
    if actual and percent == 0.0:
        return float(model_sampling.sigma_max)
    if actual and percent == 1.0:
        return float(model_sampling.sigma_min)
    return model_sampling.levels.percent_to_sigma(percent)


def _right_angles(shares: Array) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return (shares * np.float32(math.pi) / np.float32(2)).astype(np.float64)

"""Classifier-free guidance: denoisers that combine the predictions of positive and negative conditions.

::

    terms.py    the conditions of a CONDITIONING value     area.py      rectangles that they hold for
    place.py    conditions in a latent of one size         sides.py     their predictions, in shared model calls
    combine.py  two predictions become one
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.combine import Combine, plain_cfg, rescaled_cfg
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.sides import BatchDenoiser, Sides
from onnxflow.sampling.terms import Term, terms

__all__ = ["BatchDenoiser", "CfgDenoiser", "Combine", "DualCfgDenoiser", "Term", "rescaled_cfg", "terms"]

_WHERE: Final = "guidance"


class CfgDenoiser:
    """A denoiser guided by positive and negative conditions; at cfg 1 the negative side is not computed.

    Without ``negative`` the result is the positive prediction, whatever ``cfg``. Conditions share model calls of at
    most ``max_batch`` samples. ``combine`` replaces the usual formula. InputError for a cfg that is not finite.
    """

    def __init__(
        self,
        denoiser: BatchDenoiser,
        positive: Sequence[Term],
        negative: Sequence[Term] | None,
        cfg: float,
        *,
        max_batch: int | None = None,
        combine: Combine | None = None,
    ) -> None:
        self._cfg = 1.0 if negative is None else _scale(cfg, "cfg")
        self._sides = Sides(denoiser, (positive, negative or ()), max_batch=max_batch)
        self._combine = combine or plain_cfg
        self.model_sampling = denoiser.model_sampling

    def __call__(self, x: Array, sigma: np.float32) -> Array:
        """The guided prediction [b,c,h,w] for ``x`` at ``sigma``."""
        cond, uncond = self._sides(x, sigma, (True, not _is_one(self._cfg)))
        return self._combine(x, sigma, cond, uncond, self._cfg)

    def with_uncond(self, x: Array, sigma: np.float32) -> tuple[Array, Array]:
        """The guided prediction and the negative one, which is computed at any cfg; zeros without negative terms."""
        cond, uncond = self._sides(x, sigma, (True, True))
        return self._combine(x, sigma, cond, uncond, self._cfg), uncond

    def sides(self, x: Array, sigma: np.float32) -> tuple[Array, Array | None]:
        """The positive and the negative prediction, the latter None when it is not used."""
        used = not _is_one(self._cfg)
        cond, uncond = self._sides(x, sigma, (True, used))
        return cond, uncond if used else None


class DualCfgDenoiser:
    """A denoiser guided on three sides by two scales: Brooks et al. (2023), "InstructPix2Pix", eq. 3.

    negative + cfg_middle (middle - negative) + cfg (positive - middle), where the first two are combined by
    ``combine``. At cfg_middle 1 the negative side is not computed, and at cfg 1 besides neither is the middle one.
    ``nested``: negative + cfg_middle (inner - negative), where inner combines positive and middle by cfg; all three
    sides are computed. InputError for a scale that is not finite.
    """

    def __init__(
        self,
        denoiser: BatchDenoiser,
        positive: Sequence[Term],
        middle: Sequence[Term],
        negative: Sequence[Term],
        cfg: float,
        cfg_middle: float,
        *,
        nested: bool = False,
        max_batch: int | None = None,
        combine: Combine | None = None,
    ) -> None:
        self._cfg = _scale(cfg, "cfg")
        self._cfg_middle = _scale(cfg_middle, "cfg_middle")
        self._sides = Sides(denoiser, (positive, middle, negative), max_batch=max_batch)
        self._nested = nested
        self._combine = combine or plain_cfg
        self.model_sampling = denoiser.model_sampling

    def __call__(self, x: Array, sigma: np.float32) -> Array:
        """The guided prediction [b,c,h,w] for ``x`` at ``sigma``."""
        negative = self._nested or not _is_one(self._cfg_middle)
        middle = negative or not _is_one(self._cfg)
        return self._guided(x, sigma, (True, middle, negative))[0]

    def with_uncond(self, x: Array, sigma: np.float32) -> tuple[Array, Array]:
        """The guided prediction, and what the condition of ``combine`` is set against: the negative prediction, the
        middle one when nested. All sides are computed."""
        return self._guided(x, sigma, (True, True, True))

    def _guided(self, x: Array, sigma: np.float32, wanted: tuple[bool, bool, bool]) -> tuple[Array, Array]:
        positive, middle, negative = self._sides(x, sigma, wanted)
        if self._nested:
            inner = self._combine(x, sigma, positive, middle, self._cfg)
            return negative + np.float32(self._cfg_middle) * (inner - negative), middle
        outer = self._combine(x, sigma, middle, negative, self._cfg_middle)
        return outer + (positive - middle) * np.float32(self._cfg), negative


def _scale(value: float, name: str) -> float:
    if not math.isfinite(value):
        raise InputError(f"{name} is {value}, expected a finite number", where=_WHERE)
    return value


def _is_one(scale: float) -> bool:
    return math.isclose(scale, 1.0)

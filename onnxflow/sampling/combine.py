"""How the predictions with and without a condition become a guided one."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.latent_operation import LatentOperation
from onnxflow.sampling.protocols import Array

Combine = Callable[[Array, np.float32, Array, Array, float], Array]
"""(x, sigma, cond, uncond, cfg) -> the guided prediction; arrays [b,c,h,w] in the model's space, predictions of the
clean latent; none of them is written to. An ``uncond`` that was not computed is zeros."""


def plain_cfg(x: Array, sigma: np.float32, cond: Array, uncond: Array, cfg: float) -> Array:
    """Ho & Salimans (2022), eq. 6, written as uncond + cfg (cond - uncond)."""
    return uncond + (cond - uncond) * np.float32(cfg)


def rescaled_cfg(multiplier: float) -> Combine:
    """Guidance whose result keeps the standard deviation of ``cond``: Lin et al. (2024), "Common Diffusion Noise
    Schedules and Sample Steps are Flawed", eq. 15 and 16, with ``multiplier`` as their phi.

    It works on v-predictions, whatever the network predicts. InputError when ``multiplier`` is not finite.
    """
    if not math.isfinite(multiplier):
        raise InputError(f"the multiplier of RescaleCFG is {multiplier}, expected a finite number", where="guidance")
    share, rest = np.float32(multiplier), np.float32(1.0 - multiplier)

    def combine(x: Array, sigma: np.float32, cond: Array, uncond: Array, cfg: float) -> Array:
        variance = sigma * sigma + np.float32(1)
        root = np.sqrt(variance)
        scaled = x / variance
        # By way of the noise, x - denoised: where a prediction is nearly flat its deviation is the rounding's, and the
        # result depends on what is rounded.
        v_cond, v_uncond = ((scaled - (x - (x - denoised))) * root / sigma for denoised in (cond, uncond))
        v_guided = v_uncond + np.float32(cfg) * (v_cond - v_uncond)
        rescaled = v_guided * (_deviation(v_cond) / _deviation(v_guided))
        v = share * rescaled + rest * v_guided
        guided: Array = scaled - v * sigma / root
        return guided

    return combine


def operated_cfg(operation: LatentOperation, combine: Combine) -> Combine:
    """``combine`` with the difference of ``cond`` from ``uncond`` changed by ``operation`` first."""

    def operated(x: Array, sigma: np.float32, cond: Array, uncond: Array, cfg: float) -> Array:
        return combine(x, sigma, operation.apply(cond - uncond) + uncond, uncond, cfg)

    return operated


def _deviation(values: Array) -> Array:
    """The standard deviation of each sample, unbiased, [b,1,1,1]; about a mean in float32, as PyTorch has it for one
    sample, but summed in float64."""
    flat = values.reshape(len(values), -1)
    distances = flat.astype(np.float64) - flat.mean(axis=1, keepdims=True)
    deviation = np.sqrt((distances * distances).sum(axis=1) / (flat.shape[1] - 1))
    found: Array = deviation.astype(np.float32).reshape(-1, 1, 1, 1)
    return found

"""What a network predicts: how its input is made from a noisy latent, and what its output means for that latent.

Sigmas are np.float32, so that the arithmetic is that of float32 tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from onnxflow.sampling.levels import NoiseLevels
from onnxflow.sampling.protocols import Array

_ONE, _TEN = np.float32(1), np.float32(10)

# The standard deviation of the data that EDM's and LCM's coefficients assume (Karras et al. 2022, appendix F.1).
_DEVIATION = np.float32(0.5)
_VARIANCE = _DEVIATION * _DEVIATION


class Prediction(Protocol):
    """What the network predicts: how its input is made from a noisy latent, and a clean latent from its output."""

    @property
    def is_flow(self) -> bool:
        """Whether x = sigma noise + (1 - sigma) latent (rectified flow) instead of latent + sigma noise."""
        ...

    def scale_input(self, x: Array, sigma: np.float32) -> Array:
        """The network's input for ``x`` at ``sigma`` (c_in of Karras et al. 2022, eq. 7)."""
        ...

    def denoised(self, output: Array, x: Array, sigma: np.float32) -> Array:
        """The clean latent that the network's ``output`` means for ``x`` at ``sigma``."""
        ...

    def noise_scaling(self, sigma: np.float32, noise: Array, latent: Array, *, max_denoise: bool = False) -> Array:
        """``latent`` with unit ``noise`` at level ``sigma``; ``max_denoise`` when a run starts from pure noise."""
        ...

    def inverse_noise_scaling(self, sigma: np.float32, x: Array) -> Array:
        """``x`` at level ``sigma`` brought to the scale of a latent; at sigma 0 it is ``x``."""
        ...


@dataclass(frozen=True, slots=True)
class EpsPrediction:
    """The network predicts noise: D = x - sigma eps, c_in = 1 / sqrt(sigma^2 + 1) (Karras et al. 2022, table 1, VP)."""

    @property
    def is_flow(self) -> bool:
        return False

    def scale_input(self, x: Array, sigma: np.float32) -> Array:
        scale: np.float32 = np.sqrt(sigma * sigma + _ONE)
        return x / scale

    def denoised(self, output: Array, x: Array, sigma: np.float32) -> Array:
        return x - output * sigma

    def noise_scaling(self, sigma: np.float32, noise: Array, latent: Array, *, max_denoise: bool = False) -> Array:
        return noise * (np.sqrt(_ONE + sigma * sigma) if max_denoise else sigma) + latent

    def inverse_noise_scaling(self, sigma: np.float32, x: Array) -> Array:
        return x


@dataclass(frozen=True, slots=True)
class VPrediction(EpsPrediction):
    """The network predicts v (Salimans & Ho 2022, appendix D): D = x / (sigma^2 + 1) - v sigma / sqrt(sigma^2 + 1)."""

    def denoised(self, output: Array, x: Array, sigma: np.float32) -> Array:
        variance = sigma * sigma + _ONE
        deviation: np.float32 = np.sqrt(variance)
        return x / variance - output * sigma / deviation


@dataclass(frozen=True, slots=True)
class EdmPrediction(EpsPrediction):
    """The network predicts F: D = c_skip x + c_out F with sigma_data 0.5 (Karras et al. 2022, eq. 7, table 1)."""

    def scale_input(self, x: Array, sigma: np.float32) -> Array:
        scale: np.float32 = np.sqrt(sigma * sigma + _VARIANCE)
        return x / scale

    def denoised(self, output: Array, x: Array, sigma: np.float32) -> Array:
        variance = sigma * sigma + _VARIANCE
        deviation: np.float32 = np.sqrt(variance)
        return x * _VARIANCE / variance + output * sigma * _DEVIATION / deviation


@dataclass(frozen=True, slots=True)
class CleanPrediction(EpsPrediction):
    """The network predicts the clean latent itself (Salimans & Ho 2022, section 4): D = out."""

    def denoised(self, output: Array, x: Array, sigma: np.float32) -> Array:
        return output


@dataclass(frozen=True, slots=True)
class ImageToImagePrediction(CleanPrediction):
    """The network predicts the clean latent from a latent that is not scaled: D = out, c_in = 1."""

    def scale_input(self, x: Array, sigma: np.float32) -> Array:
        return x


@dataclass(frozen=True, slots=True, eq=False)
class LcmPrediction(EpsPrediction):
    """A consistency model of a network that predicts noise: Luo et al. (2023), Latent Consistency Models, eq. 9.

    D = c_skip x + c_out (x - sigma eps) with the boundary coefficients of Song et al. (2023), appendix C, at ten times
    the timestep, so that D is x at timestep 0.
    """

    levels: NoiseLevels

    def denoised(self, output: Array, x: Array, sigma: np.float32) -> Array:
        scaled = self.levels.timestep(sigma) * _TEN
        variance = scaled * scaled + _VARIANCE
        skip: np.float32 = _VARIANCE / variance
        out: np.float32 = scaled / np.sqrt(variance)
        return out * (x - output * sigma) + skip * x


@dataclass(frozen=True, slots=True)
class CosmosPrediction(EpsPrediction):
    """Rectified flow on latents that grow with their noise: x = latent + sigma noise, divided by sigma + 1 for the
    network, whose time is r = sigma / (sigma + 1). D = (1 - r) x - r u: NVIDIA (2025), Cosmos."""

    def scale_input(self, x: Array, sigma: np.float32) -> Array:
        return x * (_ONE - _share(sigma))

    def denoised(self, output: Array, x: Array, sigma: np.float32) -> Array:
        share = _share(sigma)
        return x * (_ONE - share) - output * share

    def noise_scaling(self, sigma: np.float32, noise: Array, latent: Array, *, max_denoise: bool = False) -> Array:
        return noise * sigma + latent


@dataclass(frozen=True, slots=True)
class FlowPrediction:
    """The network predicts noise - latent along straight paths (Liu et al. 2022, eq. 1): D = x - sigma u."""

    @property
    def is_flow(self) -> bool:
        return True

    def scale_input(self, x: Array, sigma: np.float32) -> Array:
        return x

    def denoised(self, output: Array, x: Array, sigma: np.float32) -> Array:
        return x - output * sigma

    def noise_scaling(self, sigma: np.float32, noise: Array, latent: Array, *, max_denoise: bool = False) -> Array:
        return sigma * noise + (_ONE - sigma) * latent

    def inverse_noise_scaling(self, sigma: np.float32, x: Array) -> Array:
        return x / (_ONE - sigma)


def _share(sigma: np.float32) -> np.float32:
    return sigma / (sigma + _ONE)

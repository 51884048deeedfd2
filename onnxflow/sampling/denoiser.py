"""Denoisers made from other things: from a raw network, and from a denoiser that must leave a masked place alone."""

from __future__ import annotations

import numpy as np

from onnxflow.errors import InputError, ModelError
from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.protocols import Array, Denoiser, ModelCall
from onnxflow.sampling.told import NOTHING, Told


class NetworkDenoiser:
    """A raw network as a denoiser of one batch with its own context for each sample."""

    def __init__(self, model_call: ModelCall, model_sampling: ModelSampling) -> None:
        self._call = model_call
        self.model_sampling = model_sampling

    def __call__(self, x: Array, sigma: np.float32, context: Array, told: Told = NOTHING) -> Array:
        """Denoised [b,c,h,w] for ``x`` of that shape at ``sigma`` with ``context`` [b,s,d] and what else is told, [b,d]
        by name.

        ModelError when the network's output has another shape than the latent.
        """
        prediction = self.model_sampling.prediction
        timestep = np.full(len(x), self.model_sampling.levels.timestep(sigma), np.float32)
        output = np.asarray(self._call(prediction.scale_input(x, sigma), timestep, context, told), np.float32)
        if output.shape != x.shape:
            raise ModelError(
                f"the network returned shape {list(output.shape)} for a latent of shape {list(x.shape)}",
                where="denoiser",
            )
        return prediction.denoised(output, x, sigma)


class MaskedDenoiser:
    """A denoiser that changes the latent only where a mask says so (inpainting).

    Before the call the kept part of x is the original latent with noise of the current level; in the result it is the
    original latent itself. ``mask`` [b,1,h,w] is 1 where the picture is made anew; arrays are in the model's space.
    """

    def __init__(self, denoiser: Denoiser, mask: Array, latent: Array, noise: Array) -> None:
        self._denoiser = denoiser
        self._mask = mask
        self._keep = np.float32(1) - mask
        self._noise = noise
        self._latent = latent
        self._kept_latent = latent * self._keep
        self.model_sampling = denoiser.model_sampling

    def __call__(self, x: Array, sigma: np.float32) -> Array:
        """The denoised latent, the original one where the mask is 0."""
        return self._kept(self._denoiser(self._covered(x, sigma), sigma))

    def with_uncond(self, x: Array, sigma: np.float32) -> tuple[Array, Array]:
        """The same, and what the negative conditions predict, as they predict it."""
        denoised, uncond = self._denoiser.with_uncond(self._covered(x, sigma), sigma)
        return self._kept(denoised), uncond

    def _covered(self, x: Array, sigma: np.float32) -> Array:
        if x.shape != self._latent.shape:
            raise InputError(
                f"the sampler changed the latent's shape from {list(self._latent.shape)} to {list(x.shape)}, and its"
                " noise mask keeps the old one",
                where="denoiser",
                hint="set scale_ratio of SamplerLCMUpscale to 1, or remove the noise mask",
            )
        noised = self.model_sampling.prediction.noise_scaling(sigma, self._noise, self._latent)
        return x * self._mask + noised * self._keep

    def _kept(self, denoised: Array) -> Array:
        return denoised * self._mask + self._kept_latent

"""The nouns of sampling as protocols: what a sampler is given and what it calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from onnxflow.sampling.model_sampling import ModelSampling

Array = NDArray[np.float32]

ModelCall = Callable[[Array, Array, Array, Mapping[str, Array]], Array]
"""The raw network: sample [b,c,h,w], timestep [b], context [b,s,d], what else it is told ([b,d] by name) -> output
[b,c,h,w], all float32."""

Resize = Callable[[Array, int, int], Array]
"""A latent [b,c,h,w] at another width and height, in this order."""

OnStep = Callable[[int, int, Array, Array], None]
"""Told after the first model call of each step: k (0..n-1), n, x as it entered the step, and the denoised prediction,
both in the model's space and not to be written to. An exception raised here ends the run: so it is cancelled. A few
samplers tell something else, which their docstrings say; the adaptive one may take more than n steps, or fewer."""


class Denoiser(Protocol):
    """D(x; sigma) of Karras et al. (2022), eq. 2: the expected clean latent, given a noisy one and its noise level."""

    @property
    def model_sampling(self) -> ModelSampling:
        """The noise process the network was trained for; a few samplers depend on it."""
        ...

    def __call__(self, x: Array, sigma: np.float32) -> Array:
        """The denoised latent [b,c,h,w] of ``x`` [b,c,h,w] at noise level ``sigma``; never writes to ``x``."""
        ...

    def with_uncond(self, x: Array, sigma: np.float32) -> tuple[Array, Array]:
        """The denoised latent, and what the negative conditions alone predict (zeros where there are none): the two
        terms of CFG++ (Chung et al. 2024). The negative side is computed at any guidance scale."""
        ...


class NoiseSource(Protocol):
    """Where a stochastic sampler gets its noise: bound to a seed and a latent's shape."""

    def __call__(self, sigma: np.float32, sigma_next: np.float32, shape: Sequence[int] | None = None) -> Array:
        """Unit-variance noise [b,c,h,w] for the step from ``sigma`` to ``sigma_next``; ``shape`` for a latent that has
        grown."""
        ...


class SamplerFunction(Protocol):
    """A sampler: the steps from ``sigmas[0]`` to ``sigmas[-1]``, starting at ``x``."""

    def __call__(self, denoiser: Denoiser, x: Array, sigmas: Array, *, noise: NoiseSource, on_step: OnStep) -> Array:
        """The latent at ``sigmas[-1]``; ``x`` [b,c,h,w] is not written to, ``sigmas`` [n+1] has n steps."""
        ...

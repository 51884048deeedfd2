"""A whole sampling run: from a latent and noise to the latent a KSampler node returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.brownian import BrownianNoise
from onnxflow.sampling.denoiser import MaskedDenoiser, NetworkDenoiser
from onnxflow.sampling.guidance import CfgDenoiser, terms
from onnxflow.sampling.mask import latent_mask
from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.noise import SeededNoise, TorchGenerator, next_seed
from onnxflow.sampling.protocols import Array, Denoiser, ModelCall, NoiseSource, OnStep
from onnxflow.sampling.samplers import Sampler, find_sampler
from onnxflow.sampling.schedules import check_sigmas
from onnxflow.sampling.told import Tell
from onnxflow.values import SeedRule

if TYPE_CHECKING:
    from onnxflow.values import Conditioning

SD_LATENT_SCALE = 0.18215

_WHERE = "sampling"


def sample(
    model_call: ModelCall,
    model_sampling: ModelSampling,
    *,
    noise: Array | None,
    latent: Array,
    sigmas: Array,
    sampler: str | Sampler,
    cfg: float,
    positive: Conditioning,
    negative: Conditioning,
    seed: int,
    noise_mask: Array | None = None,
    on_step: OnStep | None = None,
    latent_scale: float = SD_LATENT_SCALE,
    seed_rule: SeedRule = "next",
    max_batch: int | None = None,
    tell: Tell | None = None,
) -> Array:
    """The latent [b,c,h,w] after a guided run of the raw network ``model_call``; ``sample_denoiser`` says the rest.

    ``tell`` says what the network is told of a condition besides its text; None for networks that are told nothing.
    """
    denoiser = CfgDenoiser(
        NetworkDenoiser(model_call, model_sampling),
        terms(positive, model_sampling, tell),
        terms(negative, model_sampling, tell, negative=True),
        cfg,
        max_batch=max_batch,
    )
    return sample_denoiser(
        denoiser,
        noise=noise,
        latent=latent,
        sigmas=sigmas,
        sampler=sampler,
        seed=seed,
        noise_mask=noise_mask,
        on_step=on_step,
        latent_scale=latent_scale,
        seed_rule=seed_rule,
    )


def sample_denoiser(
    denoiser: Denoiser,
    *,
    noise: Array | None,
    latent: Array,
    sigmas: Array,
    sampler: str | Sampler,
    seed: int,
    noise_mask: Array | None = None,
    on_step: OnStep | None = None,
    latent_scale: float = SD_LATENT_SCALE,
    seed_rule: SeedRule = "next",
    drawn: Sequence[Sequence[int]] | None = None,
) -> Array:
    """The latent [b,c,h,w] after walking ``latent`` and ``noise`` down ``sigmas`` with any denoiser.

    ``latent`` and the result are in the VAE's space, 1 / ``latent_scale`` of the model's. ``noise`` of the same shape
    is unit noise, None for none (add_noise disabled). ``noise_mask`` [n,h,w] is 1 where the latent is made anew. Step
    noise is drawn from ``seed`` by ``seed_rule``; that of the Brownian samplers is of the seed itself. One sigma alone
    is no step: the latent with noise of that level; without any, ``latent`` is returned as it is. Sigmas may rise (to
    put noise on a latent by the network), which not every sampler can follow.
    ``drawn`` are the shapes that the starting noise was drawn in (in one piece by default), for a sampler that goes on
    with its stream.
    InputError for an unknown sampler, sigmas that no network knows, values that are not finite or shapes that differ.
    """
    chosen = find_sampler(sampler) if isinstance(sampler, str) else sampler
    sigmas = check_sigmas(sigmas)
    latent = _checked(latent, "the latent")
    if noise is not None and np.shape(noise) != latent.shape:
        raise InputError(
            f"the noise has shape {list(np.shape(noise))}, the latent {list(latent.shape)}; they must be equal",
            where=_WHERE,
        )
    if not len(sigmas):
        return latent
    shape = latent.shape
    model_sampling = denoiser.model_sampling
    if model_sampling.prediction.is_flow and sigmas[-1] >= 1:
        raise InputError(
            f"the sigmas end at {sigmas[-1]:g}, which is pure noise of a flow model: no latent is left of it",
            where=_WHERE,
            hint="give the sampler at least one step"
            if len(sigmas) == 1
            else "end below 1: cut the last level off with SplitSigmas, or flip a schedule of a denoise below 1",
        )
    if drawn is None:
        drawn = () if noise is None else (shape,)
    # Scaling leaves an empty latent at zero, as it must be: there is no offset in this space.
    scale = np.float32(latent_scale)
    latent = latent * scale
    unit_noise = np.zeros(shape, np.float32) if noise is None else _checked(noise, "the noise")
    step_noise = _step_noise(chosen, sigmas, shape, seed, seed_rule, drawn)
    if noise_mask is not None:
        cover = TorchGenerator(next_seed(seed)).randn(shape) if chosen.fresh_mask_noise else unit_noise
        denoiser = MaskedDenoiser(denoiser, latent_mask(noise_mask, shape), latent, cover)
    x = model_sampling.prediction.noise_scaling(
        sigmas[0], unit_noise, latent, max_denoise=model_sampling.is_max_denoise(sigmas[0])
    )
    x = chosen.function(denoiser, x, sigmas, noise=step_noise, on_step=on_step or _ignore)
    last = np.float32(max(float(sigmas[-1]), chosen.ends_at))
    return model_sampling.prediction.inverse_noise_scaling(last, x) / scale


def _step_noise(
    sampler: Sampler,
    sigmas: Array,
    shape: tuple[int, ...],
    seed: int,
    seed_rule: SeedRule,
    drawn: Sequence[Sequence[int]],
) -> NoiseSource:
    """Where the sampler's noise comes from."""
    if sampler.noise == "brownian":
        positive = sigmas[sigmas > 0]
        if len(positive):
            return BrownianNoise(shape, positive.min(), positive.max(), seed)
    if sampler.noise == "continued":
        return SeededNoise(seed, shape, drawn=drawn)
    return SeededNoise(next_seed(seed, seed_rule), shape)


def _checked(values: Array, name: str) -> Array:
    values = np.asarray(values, np.float32)
    if values.ndim != 4 or values.size == 0:
        raise InputError(
            f"{name} has shape {list(values.shape)}, expected [batch, channels, height, width]", where=_WHERE
        )
    if not np.isfinite(values).all():
        raise InputError(f"{name} contains NaN or infinity", where=_WHERE, hint="look at the node it comes from")
    return values


def _ignore(k: int, n: int, x: Array, denoised: Array) -> None:
    """No one listens to the steps."""

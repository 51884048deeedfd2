"""What a network is sampled as: ModelSamplingDiscrete, -ContinuousEDM, -ContinuousV, -SD3, -Flux, and RescaleCFG."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Final

from onnxflow.errors import InputError
from onnxflow.models.manifest import SamplingConstants
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Boolean, Combo, Float, Int
from onnxflow.sampling import ModelSampling
from onnxflow.sampling.patches import (
    ContinuousVSampling,
    DiscreteSampling,
    EdmSampling,
    FlowSampling,
    FluxSampling,
    RescaledGuidance,
    SamplingPatch,
    patched_sampling,
    sampling_patch,
)
from onnxflow.values import Model

_PLAYGROUND: Final = "edm_playground_v2.5"
_FEW_TOKENS, _MANY_TOKENS = 256, 4096  # at which ModelSamplingFlux takes base_shift and max_shift as they are


def not_built(sampling: str) -> str | None:
    """What to do about a continuous sampling that this version does not have; None for one it has."""
    if sampling != _PLAYGROUND:
        return None
    return "Playground 2.5 has latents with a mean and a spread a channel, which no model here has: edm is without them"


Discrete = Annotated[str, Combo(("eps", "v_prediction", "lcm", "x0", "img_to_img"))]
Continuous = Annotated[str, Combo(("v_prediction", "edm", _PLAYGROUND, "eps", "cosmos_rflow"), refuse=not_built)]
OnlyV = Annotated[str, Combo(("v_prediction",))]
Level = Annotated[float, Float(0.0, 1000.0, step=0.001, round=False)]
Shift = Annotated[float, Float(0.0, 100.0, step=0.01)]
Size = Annotated[int, Int(16, 16384, step=8)]
Share = Annotated[float, Float(0.0, 1.0, step=0.01)]


@node("ModelSamplingDiscrete", category="advanced/model", display_name="ModelSamplingDiscrete", runs=())
def model_sampling_discrete(model: Model, sampling: Discrete, zsnr: Annotated[bool, Boolean()] = False) -> Model:
    """The model sampled at its timesteps, its network predicting what ``sampling`` says; zsnr ends in pure noise."""
    return _patched(model, DiscreteSampling(sampling, zsnr))


@node("ModelSamplingContinuousEDM", category="advanced/model", display_name="ModelSamplingContinuousEDM", runs=())
def model_sampling_continuous_edm(
    model: Model, sampling: Continuous, sigma_max: Level = 120.0, sigma_min: Level = 0.002
) -> Model:
    """The model sampled at any noise level between two. edm_playground_v2.5 is refused: its latents are its own."""
    reason = not_built(sampling)
    if reason is not None:
        raise InputError(f"sampling {sampling!r} exists in ComfyUI but not in this version yet", hint=reason)
    return _patched(model, EdmSampling(sampling, sigma_max, sigma_min))


@node("ModelSamplingContinuousV", category="advanced/model", display_name="ModelSamplingContinuousV", runs=())
def model_sampling_continuous_v(
    model: Model, sampling: OnlyV, sigma_max: Level = 500.0, sigma_min: Level = 0.03
) -> Model:
    """The model sampled at any noise level between two, its network predicting v and told an angle."""
    return _patched(model, ContinuousVSampling(sigma_max, sigma_min))


@node("ModelSamplingSD3", category="advanced/model", display_name="ModelSamplingSD3", runs=())
def model_sampling_sd3(model: Model, shift: Shift = 3.0) -> Model:
    """The model sampled as rectified flow, its time shifted towards noise."""
    return _patched(model, FlowSampling(shift))


@node("ModelSamplingFlux", category="advanced/model", display_name="ModelSamplingFlux", runs=())
def model_sampling_flux(
    model: Model, max_shift: Shift = 1.15, base_shift: Shift = 0.5, width: Size = 1024, height: Size = 1024
) -> Model:
    """The model sampled as rectified flow, its time shifted towards noise the more, the larger the picture is.

    The shift is a straight line over the tokens of a picture, one for 16 by 16 pixels: ``base_shift`` at 256 of them,
    ``max_shift`` at 4096.
    """
    slope = (max_shift - base_shift) / (_MANY_TOKENS - _FEW_TOKENS)
    return _patched(model, FluxSampling((width * height / 256) * slope + (base_shift - slope * _FEW_TOKENS)))


@node("RescaleCFG", category="advanced/model", display_name="RescaleCFG", runs=())
def rescale_cfg(model: Model, multiplier: Share = 0.7) -> Model:
    """The model whose guided prediction keeps the spread of the positive one, by a share of ``multiplier``."""
    return replace(model, patches=(*model.patches, RescaledGuidance(multiplier)))


def model_sampling(model: Model) -> ModelSampling:
    """The noise levels and the prediction of the model's network: the last patch's, or those it was trained with."""
    return _made(model.source.sampling, sampling_patch(model.patches))


@lru_cache(maxsize=16)
def _made(constants: SamplingConstants, patch: SamplingPatch | None) -> ModelSampling:
    # A run asks several times, and the tables take a millisecond.
    return patched_sampling(constants, patch)


def _patched(model: Model, patch: SamplingPatch) -> Model:
    """The model with one patch more; InputError at this node, and not at the sampler, where its values make none."""
    patched = replace(model, patches=(*model.patches, patch))
    model_sampling(patched)
    return patched

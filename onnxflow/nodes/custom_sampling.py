"""Drawing from parts: SamplerCustom, SamplerCustomAdvanced, and the noise and guiders that they take."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from onnxflow.nodes.context import Context
from onnxflow.nodes.drawing import Drawn, draw
from onnxflow.nodes.model_sampling import model_sampling
from onnxflow.nodes.sampling import Cfg, Seed
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Boolean, Combo
from onnxflow.sampling import Sampler, prepare_noise
from onnxflow.values import Conditioning, Guider, Latent, Model, Noise, Sigmas

_OUTPUTS = ("output", "denoised_output")
_CATEGORY = "sampling/custom_sampling"

Switch = Annotated[bool, Boolean()]
Style = Annotated[str, Combo(("regular", "nested"))]


@node("SamplerCustom", category=_CATEGORY, display_name="SamplerCustom", output_names=_OUTPUTS, runs=("unet",))
def sampler_custom(
    ctx: Context,
    *,
    model: Model,
    add_noise: Switch = True,
    noise_seed: Seed = 0,
    cfg: Cfg = 8.0,
    positive: Conditioning,
    negative: Conditioning,
    sampler: Sampler,
    sigmas: Sigmas,
    latent_image: Latent,
) -> tuple[Latent, Latent]:
    """The latent after the steps of ``sigmas``, and the clean latent that the last of them predicted."""
    guider = Guider(model, positive, negative, cfg=cfg)
    return _both(draw(ctx, guider, latent_image, sigmas.values, sampler, noise_seed, add_noise=add_noise))


@node(
    "SamplerCustomAdvanced",
    category=_CATEGORY,
    display_name="SamplerCustomAdvanced",
    output_names=_OUTPUTS,
    runs=("unet",),
)
def sampler_custom_advanced(
    ctx: Context, noise: Noise, guider: Guider, sampler: Sampler, sigmas: Sigmas, latent_image: Latent
) -> tuple[Latent, Latent]:
    """As SamplerCustom, with its noise and its guidance from other nodes."""
    return _both(draw(ctx, guider, latent_image, sigmas.values, sampler, noise.seed, add_noise=noise.drawn))


def _both(drawn: Drawn) -> tuple[Latent, Latent]:
    return drawn.latent, drawn.denoised


@node("BasicGuider", category=f"{_CATEGORY}/guiders", display_name="BasicGuider", runs=())
def basic_guider(model: Model, conditioning: Conditioning) -> Guider:
    """The network as its conditions say, without a negative side."""
    return Guider(model, conditioning)


@node("CFGGuider", category=f"{_CATEGORY}/guiders", display_name="CFGGuider", runs=())
def cfg_guider(model: Model, positive: Conditioning, negative: Conditioning, cfg: Cfg = 8.0) -> Guider:
    """Classifier-free guidance: away from the negative prediction, ``cfg`` times as far as the positive one is."""
    return Guider(model, positive, negative, cfg=cfg)


@node("DualCFGGuider", category=f"{_CATEGORY}/guiders", display_name="DualCFGGuider", runs=())
def dual_cfg_guider(
    *,
    model: Model,
    cond1: Conditioning,
    cond2: Conditioning,
    negative: Conditioning,
    cfg_conds: Cfg = 8.0,
    cfg_cond2_negative: Cfg = 8.0,
    style: Style,
) -> Guider:
    """Guidance by two scales: of the second conditions against the negative ones, and of the first against the second
    (Brooks et al. 2023, InstructPix2Pix, eq. 3)."""
    return Guider(
        model,
        cond1,
        negative,
        middle=cond2,
        cfg=cfg_conds,
        cfg_middle=cfg_cond2_negative,
        nested=style == "nested",
    )


@node("RandomNoise", category=f"{_CATEGORY}/noise", display_name="RandomNoise")
def random_noise(noise_seed: Seed = 0) -> Noise:
    """Noise of a seed, for the start and for the steps."""
    return Noise(noise_seed)


@node("DisableNoise", category=f"{_CATEGORY}/noise", display_name="DisableNoise")
def disable_noise() -> Noise:
    """No noise at the start; samplers that put noise back draw it as with seed 0."""
    return Noise(0, drawn=False)


@node("AddNoise", category="_for_testing/custom_sampling/noise", display_name="AddNoise", runs=())
def add_noise(model: Model, noise: Noise, sigmas: Sigmas, latent_image: Latent) -> Latent:
    """The latent with as much noise as lies between the first and the last of ``sigmas``; numbers that overflow become
    0."""
    levels = sigmas.values
    if not len(levels):
        return latent_image
    level = abs(levels[0] - levels[-1]) if len(levels) > 1 else levels[0]
    shape, scale = latent_image.samples.shape, np.float32(model.source.latent.scale)
    drawn = prepare_noise(shape, noise.seed, latent_image.batch_index) if noise.drawn else np.zeros(shape, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        noisy = model_sampling(model).prediction.noise_scaling(level, drawn, latent_image.samples * scale) / scale
    return latent_image.with_samples(np.nan_to_num(noisy, nan=0.0, posinf=0.0, neginf=0.0))

"""Drawing: KSampler and KSamplerAdvanced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np

from onnxflow.errors import InputError, ModelError, NumbersError
from onnxflow.nodes.component import output_of
from onnxflow.nodes.context import Context
from onnxflow.nodes.model_sampling import model_sampling
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo, Float, Int
from onnxflow.sampling import (
    SAMPLER_NAMES,
    SAMPLERS,
    SCHEDULES,
    ModelCall,
    ksampler_sigmas,
    prepare_noise,
    sample,
    slice_sigmas,
)
from onnxflow.sampling.told import Tell, told_of_sdxl
from onnxflow.values import Array, Conditioning, Latent, Model


def not_built(sampler_name: str) -> str | None:
    """What to do about a sampler of ComfyUI's list that this version does not have; None for one it has."""
    return None if sampler_name in SAMPLERS else f"this version has {', '.join(SAMPLERS)}"


SamplerName = Annotated[str, Combo(SAMPLER_NAMES, refuse=not_built)]
Seed = Annotated[int, Int(0, 0xFFFFFFFFFFFFFFFF, control_after_generate=True)]
Steps = Annotated[int, Int(1, 10000)]
Cfg = Annotated[float, Float(0.0, 100.0, step=0.1, round=0.01)]
SchedulerName = Annotated[str, Combo(tuple(SCHEDULES))]
Denoise = Annotated[float, Float(0.0, 1.0, step=0.01)]
StepNumber = Annotated[int, Int(0, 10000)]
Enable = Annotated[str, Combo(("enable", "disable"))]
Disable = Annotated[str, Combo(("disable", "enable"))]


@node("KSampler", category="sampling", display_name="KSampler", runs=("unet",))
def ksampler(
    ctx: Context,
    *,
    model: Model,
    seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: SchedulerName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    denoise: Denoise = 1.0,
) -> Latent:
    """The latent after ``steps`` steps from noise; with ``denoise`` below 1 it keeps some of the given one."""
    sigmas = ksampler_sigmas(model_sampling(model), scheduler, sampler_name, steps, denoise)
    return _draw(ctx, model, latent_image, sigmas, sampler_name, cfg, positive, negative, seed, add_noise=True)


@node("KSamplerAdvanced", category="sampling", display_name="KSampler (Advanced)", runs=("unet",))
def ksampler_advanced(
    ctx: Context,
    *,
    model: Model,
    add_noise: Enable,
    noise_seed: Seed = 0,
    steps: Steps = 20,
    cfg: Cfg = 8.0,
    sampler_name: SamplerName,
    scheduler: SchedulerName,
    positive: Conditioning,
    negative: Conditioning,
    latent_image: Latent,
    start_at_step: StepNumber = 0,
    end_at_step: StepNumber = 10000,
    return_with_leftover_noise: Disable,
) -> Latent:
    """The latent after the steps from ``start_at_step`` to ``end_at_step`` of a schedule of ``steps``."""
    sigmas = slice_sigmas(
        ksampler_sigmas(model_sampling(model), scheduler, sampler_name, steps),
        start_at_step,
        end_at_step,
        force_full_denoise=return_with_leftover_noise == "disable",
    )
    add = add_noise == "enable"
    return _draw(ctx, model, latent_image, sigmas, sampler_name, cfg, positive, negative, noise_seed, add_noise=add)


def _draw(
    ctx: Context,
    model: Model,
    latent: Latent,
    sigmas: Array,
    sampler_name: str,
    cfg: float,
    positive: Conditioning,
    negative: Conditioning,
    seed: int,
    *,
    add_noise: bool,
) -> Latent:
    shape = latent.samples.shape
    expected = model.source.latent.channels
    if shape[1] != expected:
        raise InputError(f"the latent has {shape[1]} channels, {model.source.name} takes {expected}")
    for name, conditioning in (("positive", positive), ("negative", negative)):
        _check_width(model, name, conditioning)
    if len(sigmas) < 2:
        return latent  # nothing to do (denoise 0, or a start at or after the last step): load nothing

    def on_step(step: int, total: int, x: Array, denoised: Array) -> None:
        _check_finite(denoised, model, cfg, f"at step {step + 1} of {total}")
        ctx.progress(step + 1, total)

    ctx.begin(len(sigmas) - 1)
    with np.errstate(over="ignore", invalid="ignore"):  # said once, by _check_finite, and not by numpy's warnings
        drawn = sample(
            network(ctx, model),
            model_sampling(model),
            noise=prepare_noise(shape, seed, latent.batch_index) if add_noise else None,
            latent=latent.samples,
            sigmas=sigmas,
            sampler=sampler_name,
            cfg=cfg,
            positive=positive,
            negative=negative,
            seed=seed,
            noise_mask=latent.noise_mask.values if latent.noise_mask is not None else None,
            on_step=on_step,
            latent_scale=model.source.latent.scale,
            tell=tell(model, shape),
        )
    _check_finite(drawn, model, cfg, "at the last step")
    return latent.with_samples(drawn)


def _check_width(model: Model, name: str, conditioning: Conditioning) -> None:
    """InputError when the text was encoded for another model, as far as the manifest says what the network takes."""
    declared = model.source.component("unet").inputs.get("encoder_hidden_states", ())
    width = declared[-1] if declared else None
    for entry in conditioning.entries:
        found = entry.cross_attn.shape[2]
        if isinstance(width, int) and found != width:
            raise InputError(
                f"the {name} text was encoded for another model: its states are {found} wide, the network of"
                f" {model.source.name} takes {width}",
                hint="connect the CLIP of the checkpoint that the MODEL comes from",
            )


def _check_finite(values: Array, model: Model, cfg: float, when: str) -> None:
    """NumbersError for what was made of the network's numbers, which the session has checked."""
    if not np.isfinite(values).all():
        raise NumbersError(
            f"the guided prediction of {model.source.name} became NaN or infinity {when}: the unet's numbers are too"
            f" large for cfg {cfg:g}",
            where=str(model.source.root),
            hint="use a lower cfg; where it is low, the model's weights may be damaged: onnxflow verify tells",
        )


def tell(model: Model, shape: tuple[int, ...]) -> Tell | None:
    """What the network is told besides the text, for latents of this shape; None for families that tell it nothing."""
    family = model.source.manifest.family
    if family not in ("sdxl", "sdxl-refiner"):
        return None
    declared = model.source.component("unet").inputs.get("text_embeds", ())
    width = declared[-1] if declared and isinstance(declared[-1], int) else None
    factor = model.source.latent.factor
    return told_of_sdxl(shape[3] * factor, shape[2] * factor, refiner=family == "sdxl-refiner", pooled_width=width)


def network(ctx: Context, model: Model) -> ModelCall:
    """The model's network as sampling calls it; ControlNet's inputs get the zeros that stand for "none"."""
    session = ctx.session(model, "unet")
    declared = model.source.component("unet").inputs
    unused = {name: np.zeros((1, 1, 1, 1), np.float32) for name in declared if "residual" in name}
    guidance = declared.get("timestep_cond", ())  # LCM's: ComfyUI says nothing of the guidance, which adds nothing
    channels, expected = declared.get("sample", (None, None))[1], model.source.latent.channels
    if isinstance(channels, int) and channels != expected:
        raise ModelError(
            f"the unet of {model.source.name} takes {channels} channels: it is an inpainting model, which this version"
            " cannot run",
            hint=f"use one that takes {expected}; SetLatentNoiseMask inpaints with any",
        )

    def call(x: Array, timestep: Array, context: Array, told: Mapping[str, Array]) -> Array:
        ctx.check_cancelled()
        feeds = {"sample": x, "timestep": timestep, "encoder_hidden_states": context, **told, **unused}
        if guidance:
            feeds["timestep_cond"] = np.zeros((len(x), int(guidance[-1])), np.float32)
        found: Array = output_of(session.run(feeds), "out_sample", "unet", model.source)
        return found

    return call

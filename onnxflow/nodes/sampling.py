"""Drawing: KSampler and KSamplerAdvanced."""

from __future__ import annotations

from typing import Annotated

from onnxflow.nodes.context import Context
from onnxflow.nodes.drawing import draw
from onnxflow.nodes.model_sampling import model_sampling
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo, Float, Int
from onnxflow.sampling import SAMPLERS, SCHEDULES, find_sampler, ksampler_sigmas, slice_sigmas
from onnxflow.values import Conditioning, Guider, Latent, Model

SamplerName = Annotated[str, Combo(tuple(SAMPLERS))]
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
    guider = Guider(model, positive, negative, cfg=cfg)
    return draw(ctx, guider, latent_image, sigmas, find_sampler(sampler_name), seed, add_noise=True).latent


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
    add, sampler = add_noise == "enable", find_sampler(sampler_name)
    guider = Guider(model, positive, negative, cfg=cfg)
    return draw(ctx, guider, latent_image, sigmas, sampler, noise_seed, add_noise=add).latent

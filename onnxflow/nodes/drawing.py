"""A network drawing: from a guider, noise and a latent to the latent after a run. The sampling nodes call this."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from onnxflow.errors import InputError, ModelError, NumbersError
from onnxflow.nodes.component import output_of
from onnxflow.nodes.context import Context
from onnxflow.nodes.model_sampling import model_sampling
from onnxflow.nodes.preview import preview_of
from onnxflow.sampling import (
    CfgDenoiser,
    Combine,
    Denoiser,
    DualCfgDenoiser,
    ModelCall,
    NetworkDenoiser,
    Sampler,
    prepare_noise,
    rescaled_cfg,
    sample_denoiser,
    terms,
)
from onnxflow.sampling.combine import operated_cfg, plain_cfg
from onnxflow.sampling.patches import OperatedGuidance, RescaledGuidance
from onnxflow.sampling.told import Tell, told_of_sdxl
from onnxflow.values import Array, Conditioning, Guider, Latent, Model, Session


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What a run made: the latent after its steps, and the clean latent that its last step predicted."""

    latent: Latent
    denoised: Latent


def draw(
    ctx: Context, guider: Guider, latent: Latent, sigmas: Array, sampler: Sampler, seed: int, *, add_noise: bool
) -> Drawn:
    """``latent`` with noise of ``seed``, walked down ``sigmas`` by the guided network of the model.

    InputError for a latent or a text of another model, NumbersError when the numbers leave float32; without a sigma the
    latent comes back and nothing is loaded.
    """
    model = guider.model
    latent = _fitting(latent, model)
    for name in ("positive", "middle", "negative"):
        conditioning = getattr(guider, name)
        if conditioning is not None:
            _check_width(model, name, conditioning)
    if not len(sigmas):
        return Drawn(latent, latent)
    shape = latent.samples.shape
    steps = len(sigmas) - 1
    rises = bool((np.diff(sigmas) > 0).any())
    clean: list[Array] = []
    done = 0

    def check(values: Array) -> None:
        _check_finite(values, guider, f"at step {min(done + 1, steps)} of {steps}", rises=rises)

    def on_step(step: int, total: int, x: Array, denoised: Array) -> None:
        nonlocal done
        check(denoised)
        done = step + 1
        clean[:] = [denoised]
        ctx.progress(min(done, total), total, preview_of(model, denoised))

    ctx.begin(steps)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # said once, by _check_finite
        drawn = sample_denoiser(
            denoiser_of(ctx, guider, shape, check, steps),
            noise=prepare_noise(shape, seed, latent.batch_index) if add_noise else None,
            latent=latent.samples,
            sigmas=sigmas,
            sampler=sampler,
            seed=seed,
            noise_mask=latent.noise_mask.values if latent.noise_mask is not None else None,
            on_step=on_step,
            latent_scale=model.source.latent.scale,
            seed_rule=ctx.seed_rule,
            drawn=_drawn(latent) if add_noise else (),
        )
    _check_finite(drawn, guider, "at the last step", rises=rises)
    result = latent.with_samples(drawn)
    return Drawn(result, latent.with_samples(clean[0] / np.float32(model.source.latent.scale)) if clean else result)


def _drawn(latent: Latent) -> list[tuple[int, ...]]:
    """The shapes that the starting noise of a latent is drawn in: one piece, or sample by sample to the last index."""
    shape = latent.samples.shape
    return [shape] if latent.batch_index is None else [(1, *shape[1:])] * (max(latent.batch_index) + 1)


def denoiser_of(
    ctx: Context,
    guider: Guider,
    shape: tuple[int, ...],
    check: Callable[[Array], None] | None = None,
    steps: int = 1,
) -> Denoiser:
    """The guided denoiser for latents of ``shape``; its network is loaded at the first call. ``check`` looks at every
    latent before the network does; ``steps`` is how many there will be."""
    model = guider.model
    sampling = model_sampling(model)
    network_denoiser = NetworkDenoiser(network(ctx, model, check, steps), sampling)
    said = tell(model, shape)
    rescaled = _rescaled(model)
    positive = terms(guider.positive, sampling, said)
    negative = terms(guider.negative, sampling, said, negative=True) if guider.negative is not None else None
    if guider.middle is None or negative is None:
        return CfgDenoiser(network_denoiser, positive, negative, guider.cfg, combine=_operated(model, rescaled))
    middle = terms(guider.middle, sampling, said, negative=True)
    return DualCfgDenoiser(
        network_denoiser,
        positive,
        middle,
        negative,
        guider.cfg,
        guider.cfg_middle,
        nested=guider.nested,
        combine=rescaled,  # as in ComfyUI, which combines two guidances without what operates on their sides
    )


def _rescaled(model: Model) -> Combine | None:
    """How the model's two sides become one; None for plain guidance."""
    rescaled = [patch for patch in model.patches if isinstance(patch, RescaledGuidance)]
    return rescaled_cfg(rescaled[-1].multiplier) if rescaled else None


def _operated(model: Model, combine: Combine | None) -> Combine | None:
    """``combine`` after the model's operations on its sides."""
    found = combine
    for patch in reversed(model.patches):  # the first one is applied first
        if isinstance(patch, OperatedGuidance):
            found = operated_cfg(patch.operation, found or plain_cfg)
    return found


def _fitting(latent: Latent, model: Model) -> Latent:
    """The latent itself; one that is empty gets the model's number of channels. InputError for another number."""
    shape, expected = latent.samples.shape, model.source.latent.channels
    if shape[1] == expected:
        return latent
    if latent.samples.any():
        raise InputError(
            f"the latent has {shape[1]} channels, {model.source.name} takes {expected}",
            hint="encode the picture with the VAE of the model's own checkpoint",
        )
    return latent.with_samples(np.zeros((shape[0], expected, *shape[2:]), np.float32))


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


def _check_finite(values: Array, guider: Guider, when: str, *, rises: bool) -> None:
    """NumbersError for what was made of the network's numbers, which the session has checked."""
    if np.isfinite(values).all():
        return
    name = guider.model.source.name
    if rises:
        raise InputError(
            f"the latent became NaN or infinity {when}: the sigmas rise, and this sampler cannot follow them",
            hint="use euler, heun or dpmpp_2m to put noise on a latent by the network",
        )
    raise NumbersError(
        f"the guided prediction of {name} became NaN or infinity {when}: the unet's numbers are too large for cfg"
        f" {guider.cfg:g}, or the sampler's options are",
        where=str(guider.model.source.root),
        hint="use a lower cfg, and usual options of the sampler; where they are, the model's weights may be damaged:"
        " onnxflow verify tells",
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


def network(ctx: Context, model: Model, check: Callable[[Array], None] | None = None, steps: int = 1) -> ModelCall:
    """The model's network as sampling calls it, loaded at the first call; ControlNet's inputs get the zeros that stand
    for "none"."""
    opened: list[Session] = []  # once: a session goes on in another precision where one gave NaN
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
        if check is not None:
            check(x)
        if not opened:
            opened.append(ctx.session(model, "unet", steps))
        feeds = {"sample": x, "timestep": timestep, "encoder_hidden_states": context, **told, **unused}
        if guidance:
            feeds["timestep_cond"] = np.zeros((len(x), int(guidance[-1])), np.float32)
        found: Array = output_of(opened[0].run(feeds), "out_sample", "unet", model.source)
        return found

    return call

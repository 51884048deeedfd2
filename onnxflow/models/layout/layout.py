"""Which family a checkpoint in the original layout is of, and all its networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from onnxflow.errors import ModelError
from onnxflow.models.layout.place import Place, Shapes, part_of
from onnxflow.models.layout.text import TextShape, read_clip, read_open_clip
from onnxflow.models.layout.unet import UnetShape, read_unet
from onnxflow.models.layout.vae import VaeShape, read_vae

UNET, VAE = "model.diffusion_model.", "first_stage_model."
_CLIP = "cond_stage_model.transformer."  # Stable Diffusion 1.x
_OPEN_CLIP = "cond_stage_model.model."  # Stable Diffusion 2.x
_XL_CLIP, _XL_OPEN_CLIP = "conditioner.embedders.0.transformer.", "conditioner.embedders.1.model."
_REFINER_OPEN_CLIP = "conditioner.embedders.0.model."
_SD2_SKIPPED = 1  # the UNet of 2.x was trained on the layer before the last: that is all anybody reads
_LOADERS = (
    "UNETLoader reads it in diffusion_models/, CLIPLoader text encoders in text_encoders/, VAELoader a VAE in vae/"
)
_OTHERS = {
    "double_blocks.0.img_attn.qkv.weight": "Flux",
    "joint_blocks.0.x_block.attn.qkv.weight": "Stable Diffusion 3",
    "model.diffusion_model.double_blocks.0.img_attn.qkv.weight": "Flux",
    "model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight": "Stable Diffusion 3",
    "conv_in.weight": "a single network in Diffusers' layout",
    "encoder.conv_in.weight": "an autoencoder (VAE), which VAELoader reads in vae/",
    "decoder.conv_in.weight": "an autoencoder (VAE), which VAELoader reads in vae/",
    "first_stage_model.encoder.conv_in.weight": "an autoencoder (VAE), which VAELoader reads in vae/",
    "input_blocks.0.0.weight": "a denoiser, which UNETLoader reads in diffusion_models/",
    "text_model.embeddings.token_embedding.weight": "a text encoder, which CLIPLoader reads in text_encoders/",
    "transformer.resblocks.0.ln_1.weight": "a text encoder, which CLIPLoader reads in text_encoders/",
    "control_model.input_blocks.0.0.weight": "a ControlNet, which belongs into controlnet/",
    "controlnet_cond_embedding.conv_in.weight": "a ControlNet, which belongs into controlnet/",
    "conv_first.weight": "an upscaling model, which belongs into upscale_models/",
    "emb_params": "an embedding, which belongs into embeddings/",
}
_LORA = (".lora_down.weight", ".lora_up.weight", ".lora_A.weight", ".lora.down.weight", ".hada_w1_a", ".lokr_w1")


@dataclass(frozen=True, slots=True)
class TextNetwork:
    """A text encoder of a checkpoint: the component that it is, its shape, its weights by transformers' names."""

    component: str
    shape: TextShape
    places: Mapping[str, Place]
    open_clip: bool


@dataclass(frozen=True, slots=True)
class Layout:
    """The networks of a file, by the names that Diffusers gives their weights."""

    family: str
    text: tuple[TextNetwork, ...]
    unet: UnetShape
    unet_places: Mapping[str, Place]
    vae: VaeShape
    vae_places: Mapping[str, Place]


def read_layout(shapes: Shapes, where: str) -> Layout:
    """The networks whose tensors have these shapes; ModelError when they are of no family that is known, or a weight is
    missing."""
    family = _family(shapes, where)
    if not any(name.startswith(VAE) for name in shapes):
        raise ModelError(
            "the checkpoint holds no autoencoder (VAE)",
            where=where,
            hint=f"use a full checkpoint with denoiser, text encoder and VAE; of this one, {_LOADERS}",
        )
    unet, unet_places = read_unet(part_of(where, shapes, UNET))
    vae, vae_places = read_vae(part_of(where, shapes, VAE))
    return Layout(family, _text(family, shapes, where), unet, unet_places, vae, vae_places)


def _family(shapes: Shapes, where: str) -> str:
    if f"{UNET}input_blocks.0.0.weight" in shapes:
        for family, prefix in (("sdxl", _XL_OPEN_CLIP), ("sdxl-refiner", _REFINER_OPEN_CLIP), ("sd2", _OPEN_CLIP)):
            if f"{prefix}token_embedding.weight" in shapes:
                return family
        if any(name.startswith(_CLIP) for name in shapes):
            return "sd1"
        raise ModelError(
            "the checkpoint holds a denoiser, but no text encoder that is known",
            where=where,
            hint=f"use a full checkpoint with denoiser, text encoder and VAE; of this one, {_LOADERS}",
        )
    other = next((name for key, name in _OTHERS.items() if key in shapes), None)
    if other is None and any(name.endswith(_LORA) for name in shapes):
        other = "a LoRA, which belongs into loras/"
    raise ModelError(
        f"the file is {other}" if other else "the file is no checkpoint of Stable Diffusion that is known",
        where=where,
        hint="known are Stable Diffusion 1.x, 2.x and XL (base, refiner): UNet, text encoder and VAE in one file",
    )


def _text(family: str, shapes: Shapes, where: str) -> tuple[TextNetwork, ...]:
    def clip(component: str, prefix: str) -> TextNetwork:
        inner = f"{prefix}text_model."
        part = part_of(where, shapes, inner if any(name.startswith(inner) for name in shapes) else prefix)
        return TextNetwork(component, *read_clip(part), open_clip=False)

    def open_clip(component: str, prefix: str, skipped: int = 0) -> TextNetwork:
        return TextNetwork(component, *read_open_clip(part_of(where, shapes, prefix), skipped), open_clip=True)

    if family == "sd1":
        return (clip("text_encoder", _CLIP),)
    if family == "sd2":
        return (open_clip("text_encoder", _OPEN_CLIP, _SD2_SKIPPED),)
    if family == "sdxl":
        return (clip("text_encoder", _XL_CLIP), open_clip("text_encoder_2", _XL_OPEN_CLIP))
    return (open_clip("text_encoder_2", _REFINER_OPEN_CLIP),)

"""config.json of a pipeline's networks, with the values that Diffusers and Transformers take for what is not there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from onnxflow.errors import ModelError
from onnxflow.models.json_file import read_json
from onnxflow.models.json_object import JsonObject

COPY: Final = "copy the whole Diffusers folder"
_UNET: Mapping[str, Any] = {
    "in_channels": 4, "out_channels": 4, "cross_attention_dim": 1280, "sample_size": 64, "addition_embed_type": "",
    "class_embed_type": "", "time_cond_proj_dim": 0,
}  # fmt: skip
_VAE: Mapping[str, Any] = {
    "latent_channels": 4, "scaling_factor": 0.18215, "block_out_channels": [64], "use_quant_conv": True,
    "use_post_quant_conv": True,
}  # fmt: skip
_TEXT: Mapping[str, Any] = {
    "vocab_size": 49408, "hidden_size": 512, "num_hidden_layers": 12, "max_position_embeddings": 77,
    "projection_dim": 512, "hidden_act": "quick_gelu",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnetConfig:
    """A denoiser: channels in and out, the width of the text it reads, the latents' height and width it was trained
    on, what it is told besides the text ("" for nothing), and the width of what it is told of guidance (0: nothing)."""

    in_channels: int
    out_channels: int
    context: int
    height: int
    width: int
    told: str
    guidance: int


@dataclass(frozen=True, slots=True)
class VaeConfig:
    """An autoencoder: channels of its latents, their scale, how many levels it has, and whether it has the two
    convolutions around the latents that Stable Diffusion's have."""

    channels: int
    scale: float
    levels: int
    quantized: bool


@dataclass(frozen=True, slots=True)
class TextConfig:
    """A text encoder: rows of its token table, width, layers, tokens in a chunk, the width of its projection, and its
    activation."""

    vocabulary: int
    hidden: int
    layers: int
    length: int
    projection: int
    activation: str


def read_unet(path: Path) -> UnetConfig:
    """A denoiser's config.json; ModelError names the entry that is wrong."""
    content = _content(path, _UNET)
    config = _object(content, path)
    size = content["sample_size"]
    sides = size if isinstance(size, list) else [size, size]
    if len(sides) != 2 or not all(type(side) is int and 0 < side <= 8192 for side in sides):
        raise ModelError(
            f"unet's sample_size is {str(size)[:60]}, expected a whole number from 1 to 8,192 or two of them",
            where=str(path),
            hint=COPY,
        )
    return UnetConfig(
        in_channels=config.whole("in_channels"),
        out_channels=config.whole("out_channels"),
        context=config.whole("cross_attention_dim"),
        height=sides[0],
        width=sides[1],
        told=config.text("addition_embed_type") or config.text("class_embed_type"),
        guidance=config.whole("time_cond_proj_dim", 0),
    )


def read_vae(path: Path) -> VaeConfig:
    """An autoencoder's config.json; ModelError names the entry that is wrong."""
    content = _content(path, _VAE)
    config = _object(content, path)
    blocks = content["block_out_channels"]
    return VaeConfig(
        channels=config.whole("latent_channels"),
        scale=config.number("scaling_factor", 1e-6, 1e6),
        levels=len(blocks) if isinstance(blocks, list) else 0,
        quantized=config.value("use_quant_conv", bool) and config.value("use_post_quant_conv", bool),
    )


def read_text(path: Path) -> TextConfig:
    """A text encoder's config.json; ModelError names the entry that is wrong."""
    config = _object(_content(path, _TEXT), path)
    return TextConfig(
        vocabulary=config.whole("vocab_size"),
        hidden=config.whole("hidden_size"),
        layers=config.whole("num_hidden_layers"),
        length=config.whole("max_position_embeddings"),
        projection=config.whole("projection_dim"),
        activation=config.text("hidden_act"),
    )


def _content(path: Path, defaults: Mapping[str, Any]) -> dict[str, Any]:
    return {**defaults, **{key: value for key, value in read_json(path, COPY).items() if value is not None}}


def _object(content: dict[str, Any], path: Path) -> JsonObject:
    return JsonObject(content, str(path), subject=f"{path.parent.name}/{path.name}", hint=COPY)

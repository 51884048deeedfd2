"""A tiny pipeline of random weights for every family, as a Diffusers folder and as one file in the original layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.numpy import save_file
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from onnxflow.export.components import components_of
from onnxflow.export.diffusers_folder import DiffusersFolder
from onnxflow.export.single_file import unet_config, vae_config
from onnxflow.export.source import TEXT_PARTS, parts
from onnxflow.export.templates import Shapes
from onnxflow.models.layout.text import TextShape
from onnxflow.models.layout.unet import UnetShape
from onnxflow.models.layout.vae import VaeShape
from onnxflow.text.clip import clip_merges, clip_vocabulary


@dataclass(frozen=True)
class Kind:
    """What makes one family differ from the others."""

    family: str
    pipeline: str
    encoders: tuple[str, ...] = ("text_encoder",)
    prediction: str = "epsilon"
    in_channels: int = 4
    guidance: int | None = None


KINDS = {
    "sd1": Kind("sd1", "StableDiffusionPipeline"),
    "sd1-inpaint": Kind("sd1", "StableDiffusionInpaintPipeline", in_channels=9),
    "lcm": Kind("sd1", "LatentConsistencyModelPipeline", guidance=32),
    "sd2": Kind("sd2", "StableDiffusionPipeline"),
    "sd2-v": Kind("sd2", "StableDiffusionPipeline", prediction="v_prediction"),
    "sdxl": Kind("sdxl", "StableDiffusionXLPipeline", encoders=TEXT_PARTS),
    "sdxl-refiner": Kind("sdxl-refiner", "StableDiffusionXLImg2ImgPipeline", encoders=TEXT_PARTS[1:]),
}
TEMPLATES = {
    "sd1-unet": "sd1",
    "sd1-lcm-unet": "lcm",
    "sd2-unet": "sd2",
    "sdxl-unet": "sdxl",
    "sdxl-refiner-unet": "sdxl-refiner",
}
WIDTHS = {"text_encoder": 64, "text_encoder_2": 128}


def unet_shape(kind: Kind) -> UnetShape:
    """A denoiser of two levels; SDXL's has its attentions in the lower one only."""
    xl = kind.family.startswith("sdxl")
    pooled, ids = WIDTHS["text_encoder_2"], 6 if kind.family == "sdxl" else 5
    return UnetShape(
        in_channels=kind.in_channels,
        out_channels=4,
        channels=(32, 64),
        layers=1,
        depths=(0, 2) if xl else (1, 0),
        middle_depth=2 if xl else 1,
        context=sum(WIDTHS[part] for part in kind.encoders),
        linear=kind.family != "sd1",
        label=pooled + ids * 256 if xl else None,
        guidance=kind.guidance,
    )


def write_folder(kind: Kind, folder: Path) -> Path:
    """The pipeline as Diffusers saves it."""
    torch.manual_seed(7)
    networks: dict[str, nn.Module] = {
        "unet": UNet2DConditionModel(**unet_config(unet_shape(kind), kind.family)),
        "vae": AutoencoderKL(**vae_config(VaeShape((32, 32, 64, 64), 1, 4), kind.family)),
    }
    index: dict[str, Any] = {"_class_name": kind.pipeline, "_name_or_path": "tiny", "license": "mit"}
    index |= {"unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"]}
    index |= {"scheduler": ["diffusers", "DDIMScheduler"]}
    if kind.family == "sdxl-refiner":
        index["requires_aesthetics_score"] = True
    if not kind.family.startswith("sdxl"):
        index |= {"safety_checker": [None, None], "feature_extractor": [None, None]}
    for part in TEXT_PARTS if kind.family.startswith("sdxl") else TEXT_PARTS[:1]:
        networks |= {part: _encoder(kind, part)} if part in kind.encoders else {}
        made = type(networks[part]).__name__ if part in kind.encoders else None
        index[part] = ["transformers" if made else None, made]
        tokenizer = part.replace("text_encoder", "tokenizer")
        index[tokenizer] = ["transformers" if made else None, "CLIPTokenizer" if made else None]
        if made:
            _write_tokenizer(folder / tokenizer, "!" if _open_clip(kind, part) else "<|endoftext|>")
    for part, network in networks.items():
        for parameter in network.parameters():  # norms and biases too: an export that mixed them up must not pass
            parameter.data += 0.05 * torch.randn_like(parameter)
        network.save_pretrained(folder / part)  # type: ignore[operator]
    DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=kind.prediction
    ).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _open_clip(kind: Kind, part: str) -> bool:
    return kind.family == "sd2" or part == "text_encoder_2"


def _encoder(kind: Kind, part: str) -> nn.Module:
    width = WIDTHS[part]
    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=width,
        intermediate_size=2 * width,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=width // 64,
        hidden_act="gelu" if _open_clip(kind, part) else "quick_gelu",
    )
    network: nn.Module = (CLIPTextModelWithProjection if part == "text_encoder_2" else CLIPTextModel)(config)
    return network


def _write_tokenizer(folder: Path, pad: str) -> None:
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(clip_vocabulary()), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *clip_merges()]) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"pad_token": pad}))


def write_file(folder: Path, path: Path) -> Path:
    """A Diffusers folder's weights in the original layout."""
    source = DiffusersFolder(folder)
    tensors: dict[str, np.ndarray] = {}
    for part in parts(source.facts):
        weights = {name: value.numpy() for name, value in source.network(part).state_dict().items()}
        tensors |= original(source.facts.family, part, weights)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)
    return path


def original(family: str, part: str, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A network's weights under the original names: Diffusers' own converters undone, name by name."""
    if part == "vae":
        return {f"first_stage_model.{_vae_name(name)}": _convolution(name, v) for name, v in weights.items()}
    if part == "unet":
        attentive = any(name.startswith("up_blocks.0.attentions.") for name in weights)
        upsampler = f"output_blocks.1.{2 if attentive else 1}.conv."
        names = {name: name.replace("up_blocks.0.upsamplers.0.conv.", upsampler) for name in weights}
        return {f"model.diffusion_model.{_unet_name(names[name])}": value for name, value in weights.items()}
    if family == "sd1":
        return {f"cond_stage_model.transformer.text_model.{name}": value for name, value in weights.items()}
    if part == "text_encoder" and family == "sdxl":
        return {f"conditioner.embedders.0.transformer.text_model.{name}": value for name, value in weights.items()}
    prefix = {
        "sd2": "cond_stage_model.model.", "sdxl": "conditioner.embedders.1.model.",
        "sdxl-refiner": "conditioner.embedders.0.model.",
    }[family]  # fmt: skip
    return {prefix + name: value for name, value in _open_clip_names(family, weights).items()}


def _open_clip_names(family: str, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    weights = {name.removeprefix("text_model."): value for name, value in weights.items()}
    made = {
        "token_embedding.weight": weights["embeddings.token_embedding.weight"],
        "positional_embedding": weights["embeddings.position_embedding.weight"],
        "ln_final.weight": weights["final_layer_norm.weight"],
        "ln_final.bias": weights["final_layer_norm.bias"],
    }
    if "text_projection.weight" in weights:
        made["text_projection"] = weights["text_projection.weight"].T
    for layer in range(2):
        here, there = f"encoder.layers.{layer}.", f"transformer.resblocks.{layer}."
        for kind in ("weight", "bias"):
            joined = [weights[f"{here}self_attn.{name}_proj.{kind}"] for name in "qkv"]
            made[f"{there}attn.in_proj_{kind}"] = np.concatenate(joined)
            for name, old in (
                ("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"),
                ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
            ):  # fmt: skip
                made[f"{there}{old}.{kind}"] = weights[f"{here}{name}.{kind}"]
    if family == "sd2":  # the last layer, which nobody reads, is there as well
        last = {n.replace("resblocks.1.", "resblocks.2."): v for n, v in made.items() if "resblocks.1." in n}
        made |= {**last, "text_projection": np.ones((64, 64), np.float32)}
    return made


def _unet_name(name: str) -> str:
    """For two levels of one layer: input blocks 0 conv, 1 layer, 2 downsampling, 3 layer; output blocks 0 to 3."""
    for here, there in (
        ("conv_in.", "input_blocks.0.0."),
        ("time_embedding.linear_1.", "time_embed.0."),
        ("time_embedding.linear_2.", "time_embed.2."),
        ("time_embedding.cond_proj.", "time_embed.cond_proj."),
        ("add_embedding.linear_1.", "label_emb.0.0."),
        ("add_embedding.linear_2.", "label_emb.0.2."),
        ("down_blocks.0.resnets.0.", "input_blocks.1.0."),
        ("down_blocks.0.attentions.0.", "input_blocks.1.1."),
        ("down_blocks.0.downsamplers.0.conv.", "input_blocks.2.0.op."),
        ("down_blocks.1.resnets.0.", "input_blocks.3.0."),
        ("down_blocks.1.attentions.0.", "input_blocks.3.1."),
        ("mid_block.resnets.0.", "middle_block.0."),
        ("mid_block.attentions.0.", "middle_block.1."),
        ("mid_block.resnets.1.", "middle_block.2."),
        ("up_blocks.0.resnets.0.", "output_blocks.0.0."),
        ("up_blocks.0.attentions.0.", "output_blocks.0.1."),
        ("up_blocks.0.resnets.1.", "output_blocks.1.0."),
        ("up_blocks.0.attentions.1.", "output_blocks.1.1."),
        ("up_blocks.1.resnets.0.", "output_blocks.2.0."),
        ("up_blocks.1.attentions.0.", "output_blocks.2.1."),
        ("up_blocks.1.resnets.1.", "output_blocks.3.0."),
        ("up_blocks.1.attentions.1.", "output_blocks.3.1."),
        ("conv_norm_out.", "out.0."),
        ("conv_out.", "out.2."),
    ):
        if name.startswith(here):
            return there + _resnet(name.removeprefix(here))
    return name


def _resnet(name: str) -> str:
    for here, there in (
        ("norm1.", "in_layers.0."), ("conv1.", "in_layers.2."), ("time_emb_proj.", "emb_layers.1."),
        ("norm2.", "out_layers.0."), ("conv2.", "out_layers.3."), ("conv_shortcut.", "skip_connection."),
    ):  # fmt: skip
        if name.startswith(here):
            return there + name.removeprefix(here)
    return name


def _vae_name(name: str) -> str:
    for here, there in (
        ("mid_block.resnets.0.", "mid.block_1."), ("mid_block.resnets.1.", "mid.block_2."),
        ("mid_block.attentions.0.", "mid.attn_1."), ("group_norm.", "norm."), ("to_q.", "q."), ("to_k.", "k."),
        ("to_v.", "v."), ("to_out.0.", "proj_out."), ("conv_norm_out.", "norm_out."),
        ("conv_shortcut.", "nin_shortcut."), ("downsamplers.0.", "downsample."), ("upsamplers.0.", "upsample."),
    ):  # fmt: skip
        name = name.replace(here, there)
    for level in range(4):
        name = name.replace(f"down_blocks.{level}.resnets.", f"down.{level}.block.")
        name = name.replace(f"down_blocks.{level}.", f"down.{level}.")
        name = name.replace(f"up_blocks.{level}.resnets.", f"up.{3 - level}.block.")
        name = name.replace(f"up_blocks.{level}.", f"up.{3 - level}.")
    return name


def _convolution(name: str, value: np.ndarray) -> np.ndarray:
    """The original autoencoder's attention is made of 1x1 convolutions."""
    return value[:, :, None, None] if ".attentions." in name and value.ndim == 2 else value


_TEXT = TextShape(vocabulary=49408, length=77, hidden=64, inner=128, layers=2, projection=None)
TINY = Shapes(
    unets={name: (KINDS[kind].family, unet_shape(KINDS[kind])) for name, kind in TEMPLATES.items()},
    texts={
        "clip-l": (False, _TEXT),
        "clip-h": (True, _TEXT),
        "clip-g": (True, replace(_TEXT, hidden=128, inner=256, projection=128)),
    },
    vae=VaeShape((32, 32, 64, 64), 1, 4),
)
"""The shapes of templates for all of these."""


@dataclass(frozen=True)
class Case:
    """A tiny model: its kind, its Diffusers folder, its checkpoint, and the templates for it."""

    name: str
    kind: Kind
    folder: Path
    file: Path
    templates: Path

    def components(self) -> Mapping[str, Any]:
        """Every component in torch."""
        source = DiffusersFolder(self.folder)
        found = [
            component
            for part in parts(source.facts)
            for component in components_of(part, source.network(part), source.facts)
        ]
        return {component.name: component for component in found}


def write_case(name: str, folder: Path, templates: Path) -> Case:
    """A tiny model of a kind, in both forms."""
    write_folder(KINDS[name], folder / "model")
    write_file(folder / "model", folder / "model.safetensors")
    return Case(name, KINDS[name], folder / "model", folder / "model.safetensors", templates)

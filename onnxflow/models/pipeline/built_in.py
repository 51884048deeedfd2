"""Settings of a pipeline's networks that no tensor's shape shows: templates have them built in, so others are refused.

Diffusers and transformers save them all, with their own values where nobody chose others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from onnxflow.errors import ModelError, shown
from onnxflow.models.json_file import read_json
from onnxflow.models.pipeline.config import COPY

_HEAD: Final = 64  # numbers of an attention head, but in Stable Diffusion 1.x's denoiser
_HEADS_OF_SD1: Final = 8

_UNET: Final[Mapping[str, Any]] = MappingProxyType(
    {
        "act_fn": "silu",
        "attention_type": "default",
        "center_input_sample": False,
        "class_embeddings_concat": False,
        "conv_in_kernel": 3,
        "conv_out_kernel": 3,
        "downsample_padding": 1,
        "dropout": 0.0,
        "dual_cross_attention": False,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-5,
        "norm_num_groups": 32,
        "only_cross_attention": False,
        "resnet_out_scale_factor": 1.0,
        "resnet_skip_time_act": False,
        "resnet_time_scale_shift": "default",
        "time_embedding_type": "positional",
    }
)
_UNET_WITHOUT: Final = (
    "cross_attention_norm",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "mid_block_only_cross_attention",
    "time_embedding_act_fn",
    "timestep_post_act",
)
_VAE: Final[Mapping[str, Any]] = MappingProxyType({"act_fn": "silu", "norm_num_groups": 32, "shift_factor": 0.0})
_VAE_WITHOUT: Final = ("latents_mean", "latents_std")
_ACTIVATIONS: Final = ("quick_gelu", "gelu")
_XL_TIME_WIDTH: Final = 256


def check_unet(path: Path, family: str) -> None:
    """ModelError when a denoiser's config.json asks for what its family's template does not compute."""
    content = read_json(path, COPY)
    _check(path, content, _UNET, _UNET_WITHOUT)
    blocks, widths = content.get("down_block_types"), content.get("block_out_channels")
    if isinstance(blocks, list) and isinstance(widths, list) and all(type(width) is int for width in widths):
        wanted = [_HEADS_OF_SD1 if family == "sd1" else max(1, width // _HEAD) for width in widths]
        # Diffusers took the one name for the other and stays with that.
        given = content.get("num_attention_heads") or content.get("attention_head_dim", 8)
        heads = given if isinstance(given, list) else [given] * len(widths)
        levels = [at for at, block in enumerate(blocks) if "CrossAttn" in str(block)]
        if len(heads) != len(widths) or any(heads[at] != wanted[at] for at in levels if at < len(widths)):
            raise _other(path, "attention_head_dim", given, wanted)
    if family.startswith("sdxl"):
        _check(path, content, {"addition_time_embed_dim": _XL_TIME_WIDTH})


def check_vae(path: Path) -> None:
    """ModelError when an autoencoder's config.json asks for what the templates do not compute."""
    _check(path, read_json(path, COPY), _VAE, _VAE_WITHOUT)


def check_text(path: Path, hidden: int) -> None:
    """ModelError when a text encoder's config.json, of width ``hidden``, asks for what the templates do not compute."""
    content = read_json(path, COPY)
    _check(path, content, {"layer_norm_eps": 1e-5, "num_attention_heads": max(1, hidden // _HEAD)})
    activation = content.get("hidden_act", _ACTIVATIONS[0])
    if activation not in _ACTIVATIONS:
        raise _other(path, "hidden_act", activation, " or ".join(_ACTIVATIONS))


def _check(path: Path, content: Mapping[str, Any], wanted: Mapping[str, Any], without: Iterable[str] = ()) -> None:
    for key, value in wanted.items():
        if content.get(key) not in (None, value):
            raise _other(path, key, content[key], value)
    for key in without:
        if content.get(key) not in (None, False):
            raise _other(path, key, content[key], "nothing")


def _other(path: Path, key: str, given: Any, wanted: Any) -> ModelError:
    return ModelError(
        f"{path.parent.name}/{path.name} says {key} {shown(given)}, and what runs without an export computes"
        f" {shown(wanted) if not isinstance(wanted, str) else wanted}",
        where=str(path),
        hint="export the folder with PyTorch: onnxflow export FOLDER --engine torch",
    )

"""Networks in Diffusers' and transformers' own layout: their weights have the names that templates have, as far as
these libraries did not change them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from onnxflow.models.layout.facts import MARKS
from onnxflow.models.layout.place import Part, Place, part_of

# What Diffusers called an autoencoder's attention before 0.15.
_OLD_ATTENTION: Final[Mapping[str, str]] = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def denoiser_places(part: Part) -> dict[str, Place]:
    """The places of a denoiser's weights; marks beside them are no weights."""
    return {name: Place(part.prefix + name, shape) for name, shape in part.shapes.items() if name not in MARKS}


def vae_places(part: Part) -> dict[str, Place]:
    """The places of an autoencoder's weights, whose attention may have its older names."""
    places = {}
    for name, shape in part.shapes.items():
        now = name
        for old, new in _OLD_ATTENTION.items():
            now = now.replace(f"attentions.0.{old}.", f"attentions.0.{new}.")
        places[now] = Place(part.prefix + name, shape)
    return places


def is_denoiser(part: Part) -> bool:
    """Whether these are a denoiser's tensors in this layout."""
    return "conv_in.weight" in part and "down_blocks.0.resnets.0.conv1.weight" in part


def is_vae(part: Part) -> bool:
    """Whether these are an autoencoder's tensors in this layout."""
    return "encoder.down_blocks.0.resnets.0.conv1.weight" in part


def everything(where: str, shapes: Mapping[str, tuple[int, ...]]) -> Part:
    """All tensors of a file as one part."""
    return part_of(where, shapes, "")

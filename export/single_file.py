"""One .safetensors file in the original layout, read into Diffusers' networks: all offline, nothing guessed that the
tensors or their metadata say."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from onnxflow.errors import ModelError
from onnxflow.export.source import UNET, VAE, Facts, TextFacts, check_weights
from onnxflow.export.tokenizer import clip_tokenizer
from onnxflow.models.layout.facts import SCALES, SIZES, sampling_of, stated
from onnxflow.models.layout.layout import UNET as DENOISER
from onnxflow.models.layout.layout import Layout, TextNetwork, read_layout
from onnxflow.models.layout.place import Place
from onnxflow.models.layout.text import TextShape
from onnxflow.models.layout.unet import UnetShape
from onnxflow.models.layout.vae import VaeShape
from onnxflow.models.tensors import TensorFile, open_tensors
from onnxflow.models.zero_tail import check_not_blank

_HEAD = 64  # width of an attention head in CLIP, and in the UNets since 2.x; 1.x has eight heads instead
_TIME_WIDTH = 256  # numbers that each of SDXL's sizes is embedded in


@dataclass(frozen=True)
class SingleFile:
    """A checkpoint of all networks of a model."""

    path: Path

    @cached_property
    def tensors(self) -> TensorFile:
        """The file's header; ModelError also when the file ends in zeros, as an unfinished download does."""
        file = open_tensors(self.path)
        check_not_blank(file)
        return file

    @cached_property
    def layout(self) -> Layout:
        """Its networks."""
        return read_layout({name: info.shape for name, info in self.tensors.tensors.items()}, str(self.path))

    @cached_property
    def facts(self) -> Facts:
        """What the tensors' names and shapes say, and the metadata."""
        found = self.layout
        size = SIZES[found.family]
        return Facts(
            name=stated(self.tensors.metadata, "modelspec.title") or self.path.stem,
            family=found.family,
            license=stated(self.tensors.metadata, "modelspec.license") or "unknown",
            width=size,
            height=size,
            latent_channels=found.vae.latent,
            latent_scale=SCALES[found.family],
            in_channels=found.unet.in_channels,
            sampling=sampling_of(self.tensors, found.family, found.unet.in_channels, DENOISER),
            texts=tuple(_text_facts(text, found.family) for text in found.text),
        )

    @property
    def files(self) -> tuple[Path, ...]:
        """The file."""
        return (self.path,)

    def shapes(self, part: str) -> Mapping[str, tuple[int, ...]]:
        """From the file's header."""
        return {name: place.shape for name, place in self._places(part).items()}

    def network(self, part: str) -> nn.Module:
        """A network with all its weights."""
        found = self.layout
        network: Any
        with init_empty_weights():
            if part == UNET:
                network = UNet2DConditionModel(**unet_config(found.unet, found.family))
            elif part == VAE:
                network = AutoencoderKL(**vae_config(found.vae, found.family))
            else:
                network = _text_network(self._text(part))
        inner = "text_model." if isinstance(network, CLIPTextModelWithProjection) else ""
        for name, place in self._places(part).items():
            self._put(network, name if name.startswith("text_projection") else inner + name, place)
        check_weights(network, part, str(self.path))
        return network.float().eval()  # type: ignore[no-any-return]

    def _text(self, part: str) -> TextNetwork:
        return next(text for text in self.layout.text if text.component == part)

    def _places(self, part: str) -> Mapping[str, Place]:
        """Where a network's weights lie."""
        if part == UNET:
            return self.layout.unet_places
        return self.layout.vae_places if part == VAE else self._text(part).places

    def _put(self, network: nn.Module, name: str, place: Place) -> None:
        module, _, attribute = name.rpartition(".")
        try:
            wanted = network.get_submodule(module).get_parameter(attribute)
        except AttributeError:
            raise _unlike(place.key, self.path) from None
        if tuple(wanted.shape) != place.shape:
            raise _unlike(place.key, self.path)
        value = nn.Parameter(self._read(place), requires_grad=False)
        setattr(network.get_submodule(module), attribute, value)

    def _read(self, place: Place) -> Tensor:
        array = self.tensors.read(place.key)
        if place.rows is not None:
            array = array[slice(*place.rows)]
        if place.transposed:
            array = array.T
        return torch.from_numpy(np.array(array, np.float32).reshape(place.shape))


def unet_config(shape: UnetShape, family: str) -> dict[str, Any]:
    """Diffusers' settings of a denoiser of this shape."""
    depths = [depth or shape.middle_depth or 1 for depth in shape.depths]
    depths[-1] = shape.middle_depth or depths[-1]  # Diffusers takes the middle's from the last level
    down = ["CrossAttnDownBlock2D" if depth else "DownBlock2D" for depth in shape.depths]
    up = ["CrossAttnUpBlock2D" if depth else "UpBlock2D" for depth in reversed(shape.depths)]
    config: dict[str, Any] = {
        "sample_size": SIZES[family] // 8,
        "in_channels": shape.in_channels,
        "out_channels": shape.out_channels,
        "down_block_types": tuple(down),
        "up_block_types": tuple(up),
        "block_out_channels": shape.channels,
        "layers_per_block": shape.layers,
        "transformer_layers_per_block": tuple(depths),
        "cross_attention_dim": shape.context,
        "attention_head_dim": 8 if family == "sd1" else tuple(max(1, width // _HEAD) for width in shape.channels),
        "use_linear_projection": shape.linear,
        "time_cond_proj_dim": shape.guidance,
        "upcast_attention": family == "sd2",  # 2.1's scores overflow in half precision; the file does not say
    }
    if shape.label is not None:
        config |= {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": _TIME_WIDTH,
            "projection_class_embeddings_input_dim": shape.label,
        }
    return config


def vae_config(shape: VaeShape, family: str) -> dict[str, Any]:
    """Diffusers' settings of an autoencoder of this shape."""
    count = len(shape.channels)
    return {
        "down_block_types": ("DownEncoderBlock2D",) * count,
        "up_block_types": ("UpDecoderBlock2D",) * count,
        "block_out_channels": shape.channels,
        "layers_per_block": shape.layers,
        "latent_channels": shape.latent,
        "sample_size": SIZES[family],
        "scaling_factor": SCALES[family],
    }


def text_config(shape: TextShape, open_clip: bool) -> CLIPTextConfig:
    """transformers' settings of a text encoder of this shape."""
    return CLIPTextConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.inner,
        projection_dim=shape.projection or shape.hidden,
        num_hidden_layers=shape.layers,
        num_attention_heads=max(1, shape.hidden // _HEAD),
        max_position_embeddings=shape.length,
        hidden_act="gelu" if open_clip else "quick_gelu",
    )


def _text_network(text: TextNetwork) -> nn.Module:
    config = text_config(text.shape, text.open_clip)
    kind = CLIPTextModel if text.shape.projection is None else CLIPTextModelWithProjection
    network: nn.Module = kind(config)
    return network


def _text_facts(text: TextNetwork, family: str) -> TextFacts:
    shape = text.shape
    tokenizer = clip_tokenizer(pad="!") if text.open_clip else clip_tokenizer()
    if shape.vocabulary != len(tokenizer.vocabulary):
        raise ModelError(
            f"{text.component} has {shape.vocabulary} tokens, CLIP's tokenizer {len(tokenizer.vocabulary)}",
            hint="a checkpoint in one file brings no tokenizer of its own: export its Diffusers folder",
        )
    return TextFacts(
        component=text.component,
        tokenizer=tokenizer,
        vocabulary=shape.vocabulary,
        length=shape.length,
        hidden=shape.hidden,
        layers=shape.layers,
        projection=shape.projection,
        skipped=1 if family == "sd2" else 0,
    )


def _unlike(key: str, path: Path) -> ModelError:
    return ModelError(
        f"the tensor {key} does not fit the network that the others describe",
        where=str(path),
        hint="the file is damaged, or of another kind of model",
    )

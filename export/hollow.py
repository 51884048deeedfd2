"""Networks of real shapes without memory: every weight is one number, seen everywhere.

A template needs shapes only, and SDXL's denoiser would take 10 GB. Tracing runs such a network as any other.
"""

from collections.abc import Callable

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from onnxflow.export.single_file import text_config, unet_config, vae_config
from onnxflow.models.layout.text import TextShape
from onnxflow.models.layout.unet import UnetShape
from onnxflow.models.layout.vae import VaeShape


def hollow_unet(shape: UnetShape, family: str) -> UNet2DConditionModel:
    """A denoiser of this shape."""
    return _hollow(lambda: UNet2DConditionModel(**unet_config(shape, family)))  # type: ignore[return-value]


def hollow_vae(shape: VaeShape, family: str) -> AutoencoderKL:
    """An autoencoder of this shape."""
    return _hollow(lambda: AutoencoderKL(**vae_config(shape, family)))  # type: ignore[return-value]


def hollow_text(shape: TextShape, open_clip: bool) -> CLIPTextModel | CLIPTextModelWithProjection:
    """A text encoder of this shape."""
    kind = CLIPTextModel if shape.projection is None else CLIPTextModelWithProjection
    return _hollow(lambda: kind(text_config(shape, open_clip)))  # type: ignore[return-value]


def _hollow(make: Callable[[], nn.Module]) -> nn.Module:
    with init_empty_weights():
        network = make()
    for index, (name, weight) in enumerate(list(network.named_parameters())):
        module, _, attribute = name.rpartition(".")
        # Numbers that differ: the exporter merges weights that are equal.
        number = torch.full((1,), (index + 1) * 1e-6)
        value = nn.Parameter(number.expand(weight.shape), requires_grad=False)
        setattr(network.get_submodule(module), attribute, value)
    return network.eval()

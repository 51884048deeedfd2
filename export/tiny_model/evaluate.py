"""Drawing prompts with the finished networks, in PyTorch, and what the autoencoder alone would let through."""

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from numpy.typing import NDArray
from transformers import CLIPTextModel

from onnxflow.export.tiny_model.autoencoder import decode, encode
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.diffusion import draw
from onnxflow.export.tiny_model.renderer import jittered_palette, render
from onnxflow.export.tiny_model.scenes import held_out_scene
from onnxflow.export.tiny_model.score import Share, count_right
from onnxflow.export.tiny_model.text import text_states
from onnxflow.export.tiny_model.tokenizer import Tokenizer
from onnxflow.export.tiny_model.unet import guided, told_unet


@dataclass(frozen=True, slots=True)
class Networks:
    """Everything that turns a prompt into a picture."""

    autoencoder: AutoencoderKL
    encoder: CLIPTextModel
    tokenizer: Tokenizer
    unet: UNet2DConditionModel


def draw_prompts(
    recipe: Recipe, networks: Networks, prompts: list[str], seed: int = 0, batch: int = 25
) -> NDArray[np.uint8]:
    """Pictures [n, size, size, 3] of prompts, with the evaluation's steps and guidance."""
    settings = recipe.evaluation
    size = recipe.data.size // 8
    nothing = text_states(networks.encoder, networks.tokenizer, [""])
    generator = torch.Generator().manual_seed(recipe.seed + settings.seed_offset + seed)
    pictures = []
    for start in range(0, len(prompts), batch):
        told = text_states(networks.encoder, networks.tokenizer, prompts[start : start + batch])
        noise = torch.randn((len(told), 4, size, size), generator=generator)
        latents = draw(guided(told_unet(networks.unet), told, nothing, settings.guidance), noise, settings.steps)
        pictures.append(decode(networks.autoencoder, latents))
    return np.concatenate(pictures)


def autoencoder_ceiling(recipe: Recipe, network: AutoencoderKL, count: int) -> tuple[dict[str, Share], float]:
    """Shares of right answers on true pictures that only went through the autoencoder, and their PSNR in dB."""
    rng = np.random.default_rng([recipe.seed, 5])
    scenes = [held_out_scene(rng, recipe.data.two_objects) for _ in range(count)]
    pictures = np.stack(
        [render(scene, jittered_palette(rng, recipe.data.jitter), recipe.data.size) for scene in scenes]
    )
    again = decode(network, encode(network, pictures))
    error = float(((pictures.astype(float) - again) ** 2).mean())
    return count_right(again, scenes), 10 * float(np.log10(255**2 / error))

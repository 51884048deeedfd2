"""A ControlNet (Zhang et al. 2023, section 3.1) for the denoiser: it draws along given edges, white lines on black.

Its body is the encoder of the denoiser without the attention, so it is told nothing of the caption and stays small; it
starts from the denoiser's weights, and its outputs start at zero.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor
from transformers import CLIPTextModel

from onnxflow.export.tiny_model.autoencoder import encode
from onnxflow.export.tiny_model.captions import caption
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.crew import ALONE, Crew
from onnxflow.export.tiny_model.device import tensor_of
from onnxflow.export.tiny_model.lineage import data_digest, weights_digest
from onnxflow.export.tiny_model.pool import Pool
from onnxflow.export.tiny_model.progress import Log
from onnxflow.export.tiny_model.renderer import jittered_palette, render
from onnxflow.export.tiny_model.styles import edges
from onnxflow.export.tiny_model.subjects import training_subject
from onnxflow.export.tiny_model.tokenizer import Tokenizer
from onnxflow.export.tiny_model.training import Stage, cosine, step_randomness, train
from onnxflow.export.tiny_model.unet import Captions, velocity_loss


def build_controlnet(recipe: Recipe, unet: UNet2DConditionModel) -> ControlNetModel:
    """The untrained network, of Diffusers' class, with what fits of the denoiser's weights."""
    torch.manual_seed(recipe.seed + recipe.controlnet.seed_offset)
    config = unet.config
    network = ControlNetModel(
        in_channels=config.in_channels,
        conditioning_channels=3,
        down_block_types=("DownBlock2D",) * len(config.block_out_channels),
        mid_block_type="UNetMidBlock2D",
        only_cross_attention=False,
        block_out_channels=config.block_out_channels,
        layers_per_block=config.layers_per_block,
        norm_num_groups=config.norm_num_groups,
        attention_head_dim=config.attention_head_dim,
        cross_attention_dim=config.cross_attention_dim,
        conditioning_embedding_out_channels=recipe.controlnet.channels,
    )
    own = network.state_dict()
    fitting = {name: value for name, value in unet.state_dict().items() if name in own}
    network.load_state_dict(fitting, strict=False)
    return network


def train_controlnet(
    recipe: Recipe,
    autoencoder: AutoencoderKL,
    encoder: CLIPTextModel,
    tokenizer: Tokenizer,
    unet: UNet2DConditionModel,
    folder: Path,
    log: Log,
    crew: Crew = ALONE,
    stop_at: int | None = None,
) -> ControlNetModel:
    """Train a ControlNet for `unet`, or go on training, and return it; `unet` does not change."""
    shape = recipe.controlnet
    seed = recipe.seed + shape.seed_offset
    network = build_controlnet(recipe, unet).to(memory_format=torch.channels_last)
    unet.requires_grad_(False)
    part = crew.share(shape.batch)

    @cache
    def material() -> tuple[Pool, NDArray[np.uint8], Captions]:
        log(f"controlnet: draws {shape.pool} pictures")
        pool, packed = _edge_pool(recipe, autoencoder, np.random.default_rng(seed))
        return pool, packed, Captions(encoder, tokenizer, pool.captions)

    def loss(step: int) -> Tensor:
        pool, packed, told = material()
        rng = step_randomness(seed, step)
        chosen = rng.integers(len(pool.captions), size=shape.batch)
        states = told.states(chosen, rng, shape.caption_dropout, part)
        lines = hint(np.unpackbits(packed[chosen[part]], axis=2).astype(np.bool_))

        def predict(x: Tensor, t: Tensor) -> Tensor:
            return controlled(unet, network, x, t, states, lines)

        return velocity_loss(recipe, predict, pool.latents[chosen], rng, part, recipe.unet.gamma)

    optimiser = torch.optim.AdamW(network.parameters(), lr=shape.learning_rate, weight_decay=1e-2)
    depends = repr((recipe.seed, recipe.data, recipe.unet, shape, data_digest(), weights_digest(unet)))
    path = folder / "controlnet.pt"
    stage = Stage("controlnet", path, depends, network, optimiser, cosine(shape.steps, 50), shape.steps, 0.998)
    train(stage, loss, log, recipe.machine.checkpoint_every, stop_at, crew)
    return network.to(memory_format=torch.contiguous_format)


def hint(lines: NDArray[np.bool_]) -> Tensor:
    """Edges [b, h, w] as pictures [b, 3, h, w] in 0..1."""
    return tensor_of(lines.astype(np.float32))[:, None].repeat(1, 3, 1, 1)


def controlled(
    unet: UNet2DConditionModel,
    network: ControlNetModel,
    x: Tensor,
    t: Tensor,
    states: Tensor,
    lines: Tensor,
    strength: float = 1.0,
) -> Tensor:
    """The denoiser's velocity [b, 4, h, w], led along the edges `lines` [b, 3, 8h, 8w]."""
    down, middle = network(x, t, states, lines, conditioning_scale=strength, return_dict=False)
    velocity: Tensor = unet(
        x,
        t,
        encoder_hidden_states=states,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
    ).sample
    return velocity


def _edge_pool(recipe: Recipe, autoencoder: AutoencoderKL, rng: np.random.Generator) -> tuple[Pool, NDArray[np.uint8]]:
    """A pool and the edges of its pictures [n, h, w / 8], eight to a byte."""
    subjects = [training_subject(rng, recipe.data) for _ in range(recipe.controlnet.pool)]
    pictures = [render(subject, jittered_palette(rng, recipe.data.jitter), recipe.data.size) for subject in subjects]
    packed = np.stack([np.packbits(edges(picture), axis=1) for picture in pictures])
    pool = Pool(encode(autoencoder, np.stack(pictures)), tuple((caption(subject, rng),) for subject in subjects))
    return pool, packed

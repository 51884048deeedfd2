"""The autoencoder: 128x128 pictures to 4x16x16 latents and back, trained on crops first and then on whole pictures."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.crew import ALONE, Crew
from onnxflow.export.tiny_model.device import tensor_of
from onnxflow.export.tiny_model.lineage import data_digest
from onnxflow.export.tiny_model.linear_start import start_linear
from onnxflow.export.tiny_model.progress import Log
from onnxflow.export.tiny_model.renderer import jittered_palette, render, wild_palette
from onnxflow.export.tiny_model.subjects import training_subject
from onnxflow.export.tiny_model.training import Stage, linear, step_randomness, train

LATENT_SCALE = 0.18215  # the same for every Stable Diffusion 1.x model


def build_autoencoder(recipe: Recipe) -> AutoencoderKL:
    """The untrained network, of Stable Diffusion's class with eightfold reduction."""
    torch.manual_seed(recipe.seed + recipe.autoencoder.seed_offset)
    shape = recipe.autoencoder
    network = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=shape.channels,
        layers_per_block=shape.layers,
        norm_num_groups=shape.groups,
        latent_channels=4,
        sample_size=recipe.data.size,
        scaling_factor=LATENT_SCALE,
    )
    start_linear(network, shape.start_spread)
    return network


def train_autoencoder(
    recipe: Recipe, folder: Path, log: Log, crew: Crew = ALONE, stop_at: int | None = None
) -> AutoencoderKL:
    """Train, or go on training, and return the network whose scaled latents have mean zero and standard deviation
    one."""
    shape = recipe.autoencoder
    steps = sum(phase[2] for phase in shape.phases)
    seed = recipe.seed + shape.seed_offset
    network = build_autoencoder(recipe).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @cache
    def pool() -> NDArray[np.uint8]:
        log(f"autoencoder: draws {shape.pool} pictures")
        return _pictures(recipe, np.random.default_rng(seed), shape.pool)

    def loss(step: int) -> Tensor:
        rng = step_randomness(seed, step)
        side, count = phase_at(shape.phases, step)
        images = to_tensor(_crops(pool(), rng, count, side)[crew.share(count)])
        torch.manual_seed(int(rng.integers(2**62)) + crew.rank)  # another noise for every part of the batch
        return _loss(network, images, shape.gradient_weight, shape.kl_weight)

    optimiser = torch.optim.AdamW(network.parameters(), lr=shape.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
    depends = repr((recipe.seed, recipe.data, shape, data_digest()))
    stage = Stage("autoencoder", folder / "autoencoder.pt", depends, network, optimiser, linear(steps, 50), steps)
    train(stage, loss, log, recipe.machine.checkpoint_every, stop_at, crew)
    network = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    normalise_latents(
        network, to_tensor(_pictures(recipe, np.random.default_rng(seed + 1000), min(512, shape.pool), wild=0.0))
    )
    return network


def to_tensor(pictures: NDArray[np.uint8]) -> Tensor:
    """Pictures [b, h, w, 3] uint8 to [b, 3, h, w] float32 in -1..1."""
    return tensor_of(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(images: Tensor) -> NDArray[np.uint8]:
    """Images [b, 3, h, w] in about -1..1 to pictures [b, h, w, 3] uint8."""
    values = ((images.detach().permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255)
    return values.to(torch.uint8).cpu().numpy()


@torch.no_grad()
def encode(network: AutoencoderKL, pictures: NDArray[np.uint8], batch: int = 32) -> Tensor:
    """Scaled latents [n, 4, h/8, w/8] of pictures [n, h, w, 3]: the mean of the posterior times the family's scale."""
    parts = [network.encode(to_tensor(part)).latent_dist.mean for part in _parts(pictures, batch)]
    return torch.cat(parts) * LATENT_SCALE


@torch.no_grad()
def decode(network: AutoencoderKL, latents: Tensor, batch: int = 32) -> NDArray[np.uint8]:
    """Pictures [n, h, w, 3] of scaled latents [n, 4, h/8, w/8]."""
    return np.concatenate([to_pictures(network.decode(part / LATENT_SCALE).sample) for part in latents.split(batch)])


def training_pictures(recipe: Recipe, count: int) -> NDArray[np.uint8]:
    """Pictures [count, size, size, 3] as the autoencoder was trained on, in no wild colours and always the same."""
    return _pictures(recipe, np.random.default_rng(recipe.seed), count, wild=0.0)


def phase_at(phases: tuple[tuple[int, int, int], ...], step: int) -> tuple[int, int]:
    """Side of the crop and size of the batch at a step."""
    for side, count, steps in phases:
        if step < steps:
            return side, count
        step -= steps
    raise ValueError("the step lies behind the last phase")


def _parts(pictures: NDArray[np.uint8], batch: int) -> list[NDArray[np.uint8]]:
    return [pictures[start : start + batch] for start in range(0, len(pictures), batch)]


def _pictures(recipe: Recipe, rng: np.random.Generator, count: int, wild: float | None = None) -> NDArray[np.uint8]:
    share = recipe.autoencoder.wild if wild is None else wild
    drawn = []
    for _ in range(count):
        palette = wild_palette(rng) if rng.random() < share else jittered_palette(rng, recipe.data.jitter)
        drawn.append(render(training_subject(rng, recipe.data), palette, recipe.data.size))
    return np.stack(drawn)


def _crops(pool: NDArray[np.uint8], rng: np.random.Generator, count: int, side: int) -> NDArray[np.uint8]:
    space = pool.shape[1] - side + 1
    corners = zip(rng.integers(len(pool), size=count), rng.integers(space, size=(count, 2)), strict=True)
    return np.stack([pool[index, y : y + side, x : x + side] for index, (y, x) in corners])


def _loss(network: AutoencoderKL, images: Tensor, gradient_weight: float, kl_weight: float) -> Tensor:
    """L1 + MSE + weighted L1 of the picture's gradients + weighted mean divergence from the standard normal."""
    images = images.contiguous(memory_format=torch.channels_last)
    posterior = network.encode(images).latent_dist
    drawn = network.decode(posterior.sample()).sample
    divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    return picture_loss(drawn, images, gradient_weight) + kl_weight * divergence


def picture_loss(drawn: Tensor, wanted: Tensor, gradient_weight: float) -> Tensor:
    """L1 + MSE + weighted L1 of the difference's gradients, which keeps edges sharp."""
    difference = drawn - wanted
    across = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    return difference.abs().mean() + (difference**2).mean() + gradient_weight * (across + down)


@torch.no_grad()
def normalise_latents(network: AutoencoderKL, images: Tensor) -> None:
    """Fold the latents' mean and spread into the 1x1 convolutions beside them; the pictures stay the same."""
    means = torch.cat([network.encode(part).latent_dist.mean for part in images.split(32)])
    mean, spread = means.mean((0, 2, 3)), means.std((0, 2, 3)) * LATENT_SCALE
    inward, outward = network.quant_conv, network.post_quant_conv
    assert inward is not None and outward is not None and inward.bias is not None and outward.bias is not None
    inward.weight[:4] /= spread[:, None, None, None]
    inward.bias[:4] = (inward.bias[:4] - mean) / spread
    inward.bias[4:] -= 2 * torch.log(spread)
    outward.bias += outward.weight[:, :, 0, 0] @ mean
    outward.weight *= spread[None, :, None, None]

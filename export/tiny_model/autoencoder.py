"""The autoencoder: 128x128 pictures to 4x16x16 latents and back, trained on crops first and then on whole pictures."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from onnxflow.export.tiny_model.config import AutoencoderRecipe, Recipe
from onnxflow.export.tiny_model.crew import ALONE, Crew
from onnxflow.export.tiny_model.device import tensor_of
from onnxflow.export.tiny_model.linear_start import start_linear
from onnxflow.export.tiny_model.marks import CHANNEL, Mark, mark_map, marks_of
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
    def pool() -> Pictures:
        log(f"autoencoder: draws {shape.pool} pictures")
        return _pictures(recipe, np.random.default_rng(seed), shape.pool)

    def loss(step: int) -> Tensor:
        rng = step_randomness(seed, step)
        side, count = phase_at(shape.phases, step)
        crops, levels = _crops(pool(), rng, count, side)
        images, levels = to_tensor(crops[crew.share(count)]), levels[crew.share(count)]
        torch.manual_seed(int(rng.integers(2**62)) + crew.rank)  # another noise for every part of the batch
        return _loss(network, images, levels, shape)

    optimiser = torch.optim.AdamW(network.parameters(), lr=shape.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
    depends = repr((recipe.seed, recipe.data, shape))
    stage = Stage("autoencoder", folder / "autoencoder.pt", depends, network, optimiser, linear(steps, 50), steps)
    train(stage, loss, log, recipe.machine.checkpoint_every, stop_at, crew)
    network = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    normalise_latents(
        network, to_tensor(_pictures(recipe, np.random.default_rng(seed + 1000), min(512, shape.pool), wild=0.0).pixels)
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


def phase_at(phases: tuple[tuple[int, int, int], ...], step: int) -> tuple[int, int]:
    """Side of the crop and size of the batch at a step."""
    for side, count, steps in phases:
        if step < steps:
            return side, count
        step -= steps
    raise ValueError("the step lies behind the last phase")


def _parts(pictures: NDArray[np.uint8], batch: int) -> list[NDArray[np.uint8]]:
    return [pictures[start : start + batch] for start in range(0, len(pictures), batch)]


@dataclass(frozen=True, slots=True)
class Pictures:
    """Pictures [n, h, w, 3], and what each shows for the channel of marks."""

    pixels: NDArray[np.uint8]
    marks: tuple[tuple[Mark, ...], ...]


def _pictures(recipe: Recipe, rng: np.random.Generator, count: int, wild: float | None = None) -> Pictures:
    share = recipe.autoencoder.wild if wild is None else wild
    drawn, marks = [], []
    for _ in range(count):
        palette = wild_palette(rng) if rng.random() < share else jittered_palette(rng, recipe.data.jitter)
        subject = training_subject(rng, recipe.data)
        drawn.append(render(subject, palette, recipe.data.size))
        marks.append(marks_of(subject))
    return Pictures(np.stack(drawn), tuple(marks))


def _crops(pool: Pictures, rng: np.random.Generator, count: int, side: int) -> tuple[NDArray[np.uint8], Tensor]:
    """Crops [count, side, side, 3], and the levels [count, side / 8, side / 8] of their channel of marks."""
    space = pool.pixels.shape[1] - side + 1
    corners = list(zip(rng.integers(len(pool.pixels), size=count), rng.integers(space, size=(count, 2)), strict=True))
    crops = [pool.pixels[index, y : y + side, x : x + side] for index, (y, x) in corners]
    levels = [mark_map(pool.marks[index], x, y, side) for index, (y, x) in corners]
    return np.stack(crops), tensor_of(np.stack(levels))


def _loss(network: AutoencoderKL, images: Tensor, levels: Tensor, shape: AutoencoderRecipe) -> Tensor:
    """The picture's loss + weighted mean divergence from the standard normal + weighted error of the marks."""
    images = images.contiguous(memory_format=torch.channels_last)
    posterior = network.encode(images).latent_dist
    drawn = network.decode(posterior.sample()).sample
    divergence = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).mean()
    marks = mark_loss(posterior.mean[:, CHANNEL], levels)
    return picture_loss(drawn, images, shape.gradient_weight) + shape.kl_weight * divergence + shape.mark_weight * marks


def mark_loss(given: Tensor, levels: Tensor) -> Tensor:
    """Mean distance to the levels [b, h, w] over all things, plus that over nothing; NaN does not count."""
    away = (given - levels.nan_to_num()).abs()
    there, nothing = (levels.abs() > 0).float(), (levels == 0).float()
    return _mean_over(away * there, there) + _mean_over(away * nothing, nothing)


def _mean_over(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of values over what is counted; zero where nothing is."""
    return values.sum() / counted.sum().clamp(min=1)


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

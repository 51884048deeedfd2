"""More training for the decoder alone, on crops around the things: edges cost it far more steps than anything else
costs the encoder."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn

from onnxflow.export.tiny_model.autoencoder import LATENT_SCALE, encode, phase_at, picture_loss, to_tensor
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.crew import ALONE, Crew
from onnxflow.export.tiny_model.landscapes import Landscape
from onnxflow.export.tiny_model.lineage import data_digest, weights_digest
from onnxflow.export.tiny_model.progress import Log
from onnxflow.export.tiny_model.renderer import jittered_palette, render, wild_palette
from onnxflow.export.tiny_model.subjects import Subject, training_subject
from onnxflow.export.tiny_model.training import Stage, linear, step_randomness, train


@dataclass(frozen=True, slots=True)
class Examples:
    """Pictures [n, h, w, 3], their scaled latents [n, 4, h/8, w/8], and the centre (x, y) of a thing in each, in
    pixels."""

    pictures: NDArray[np.uint8]
    latents: Tensor
    centres: NDArray[np.float64]


def train_decoder(
    recipe: Recipe, network: AutoencoderKL, folder: Path, log: Log, crew: Crew = ALONE, stop_at: int | None = None
) -> AutoencoderKL:
    """Train the decoder of a trained autoencoder, or go on training; the encoder does not change."""
    shape = recipe.decoder
    round_steps = sum(phase[2] for phase in shape.phases)
    steps = shape.rounds * round_steps
    falling = linear(round_steps, 50)
    seed = recipe.seed + shape.seed_offset

    @cache
    def examples() -> Examples:
        log(f"decoder: draws and encodes {shape.pool} pictures")
        return _examples(recipe, network, np.random.default_rng(seed))

    assert network.post_quant_conv is not None
    trained = nn.ModuleDict({"outward": network.post_quant_conv, "decoder": network.decoder})
    trained.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss(step: int) -> Tensor:
        rng = step_randomness(seed, step)
        side, count = phase_at(shape.phases, step % round_steps)
        latents, images = _batch(examples(), rng, side, count)
        noisy = (latents + shape.noise * torch.randn_like(latents))[crew.share(count)]
        return picture_loss(
            network.decode(noisy / LATENT_SCALE).sample, images[crew.share(count)], shape.gradient_weight
        )

    def rate(step: int) -> float:
        return falling(step % round_steps) / (1 + step // round_steps)

    optimiser = torch.optim.AdamW(trained.parameters(), lr=shape.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
    depends = repr((recipe.seed, recipe.data, shape, data_digest(), weights_digest(network.encoder)))
    stage = Stage("decoder", folder / "decoder.pt", depends, trained, optimiser, rate, steps)
    train(stage, loss, log, recipe.machine.checkpoint_every, stop_at, crew)
    trained.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return network.eval()


def _examples(recipe: Recipe, network: AutoencoderKL, rng: np.random.Generator) -> Examples:
    pictures, centres = [], []
    for _ in range(recipe.decoder.pool):
        wild = rng.random() < recipe.decoder.wild
        subject = training_subject(rng, recipe.data)
        palette = wild_palette(rng) if wild else jittered_palette(rng, recipe.data.jitter)
        pictures.append(render(subject, palette, recipe.data.size))
        centres.append(_centre(subject, rng))
    drawn = np.stack(pictures)
    return Examples(drawn, encode(network, drawn), np.array(centres) * (recipe.data.size / 128))


def _centre(subject: Subject, rng: np.random.Generator) -> tuple[float, float]:
    """Column and row of one of the things; of a landscape, a point where its landmark can be."""
    if isinstance(subject, Landscape):
        return subject.x, subject.horizon - 12
    thing = subject.things[int(rng.integers(len(subject.things)))]
    return thing.x, thing.y


def _batch(examples: Examples, rng: np.random.Generator, side: int, count: int) -> tuple[Tensor, Tensor]:
    """Latents [count, 4, side/8, side/8] and images [count, 3, side, side] of crops that hold a thing, at multiples of
    eight pixels."""
    last = examples.pictures.shape[1] - side
    latents, crops = [], []
    for index in rng.integers(len(examples.pictures), size=count):
        wanted = (examples.centres[index] - side / 2 + rng.uniform(-16, 16, 2)).clip(0, last)
        x, y = (round(value / 8) * 8 for value in wanted)
        latents.append(examples.latents[index, :, y // 8 : (y + side) // 8, x // 8 : (x + side) // 8])
        crops.append(examples.pictures[index, y : y + side, x : x + side])
    return torch.stack(latents), to_tensor(np.stack(crops))

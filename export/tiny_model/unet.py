"""The denoiser: predicts the noise in a latent, told the caption by cross-attention in its two lower levels."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel

from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.diffusion import STEPS, Noise, add_noise, loss_weights
from onnxflow.export.tiny_model.pool import make_pool
from onnxflow.export.tiny_model.progress import Log
from onnxflow.export.tiny_model.text import text_states
from onnxflow.export.tiny_model.tokenizer import Tokenizer
from onnxflow.export.tiny_model.training import Stage, cosine_cycles, step_randomness, train


def build_unet(recipe: Recipe) -> UNet2DConditionModel:
    """The untrained network, of Stable Diffusion's class."""
    torch.manual_seed(recipe.seed + recipe.unet.seed_offset)
    shape = recipe.unet
    return UNet2DConditionModel(
        sample_size=recipe.data.size // 8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=shape.channels,
        layers_per_block=shape.layers,
        norm_num_groups=shape.groups,
        attention_head_dim=shape.heads,  # diffusers reads this as the number of heads
        cross_attention_dim=recipe.text.hidden,
    )


def train_unet(
    recipe: Recipe,
    autoencoder: AutoencoderKL,
    encoder: CLIPTextModel,
    tokenizer: Tokenizer,
    folder: Path,
    log: Log,
    stop_at: int | None = None,
) -> UNet2DConditionModel:
    """Train, or go on training, and return the network with its averaged weights."""
    shape = recipe.unet
    seed = recipe.seed + shape.seed_offset
    network = build_unet(recipe).to(memory_format=torch.channels_last)
    pool = make_pool(recipe, autoencoder, folder / "pool", log)
    told = ToldCaptions(encoder, tokenizer, pool.captions)
    steps = sum(count for _, count in shape.phases)
    if sum(shape.cycles) != steps:
        raise ValueError(f"the UNet's cycles have {sum(shape.cycles)} steps, its phases {steps}")
    weights = [weight for gamma, count in shape.phases for weight in [loss_weights(gamma)] * count]  # one a step

    def loss(step: int) -> Tensor:
        rng = step_randomness(seed, step)
        chosen = rng.integers(len(pool.captions), size=shape.batch)
        latents = pool.latents[chosen]
        t = torch.from_numpy((STEPS * rng.random(shape.batch) ** shape.time_power).astype(int)).clamp(max=STEPS - 1)
        noise = torch.randn_like(latents)
        states = told.states(chosen.tolist(), (rng.random(shape.batch) < shape.caption_dropout).tolist())
        guess = network(add_noise(latents, noise, t), t, encoder_hidden_states=states).sample
        return (weights[step][t] * ((guess - noise) ** 2).mean((1, 2, 3))).mean()

    optimiser = torch.optim.AdamW(network.parameters(), lr=shape.learning_rate, weight_decay=1e-2)
    depends = repr((recipe.seed, recipe.data, recipe.text.hidden, shape))
    rate = cosine_cycles(shape.cycles, shape.warmup)
    stage = Stage("unet", folder / "unet.pt", depends, network, optimiser, rate, steps, shape.ema)
    train(stage, loss, log, recipe.machine.checkpoint_every, stop_at)
    return network.to(memory_format=torch.contiguous_format)


class ToldCaptions:
    """The text encoder's states of a pool's captions, each computed when it is first asked for."""

    def __init__(self, encoder: CLIPTextModel, tokenizer: Tokenizer, captions: tuple[str, ...]) -> None:
        self._encoder, self._tokenizer, self._captions = encoder, tokenizer, captions
        self._known: dict[int, Tensor] = {}
        self._nothing = text_states(encoder, tokenizer, [""])[0]

    def states(self, chosen: list[int], dropped: list[bool]) -> Tensor:
        """States [b, 77, d] of the chosen captions, those of the empty caption where one is dropped."""
        new = sorted(set(chosen) - self._known.keys())
        if new:
            fresh = text_states(self._encoder, self._tokenizer, [self._captions[index] for index in new])
            self._known.update(zip(new, fresh.half().unbind(), strict=True))
        rows = [
            self._nothing if drop else self._known[index].float() for index, drop in zip(chosen, dropped, strict=True)
        ]
        return torch.stack(rows)


def guided(network: UNet2DConditionModel, told: Tensor, nothing: Tensor, guidance: float) -> Noise:
    """Classifier-free guidance (Ho and Salimans 2022, eq. 6): nothing + guidance * (told - nothing)."""

    def predict(x: Tensor, t: Tensor) -> Tensor:
        both = network(
            x.repeat(2, 1, 1, 1), t.repeat(2), encoder_hidden_states=torch.cat([nothing.expand_as(told), told])
        )
        without, with_text = both.sample.chunk(2)
        return without + guidance * (with_text - without)

    return predict

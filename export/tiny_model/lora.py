"""A low-rank adaptation (Hu et al. 2021, section 4.1) of the denoiser: everything in pastel colours.

It changes attention and residual convolutions, and is saved under the names that kohya's scripts gave such files, which
every Stable Diffusion program reads.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextModel

from onnxflow.export.tiny_model.autoencoder import encode
from onnxflow.export.tiny_model.captions import caption
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.crew import ALONE, Crew
from onnxflow.export.tiny_model.lineage import data_digest, weights_digest
from onnxflow.export.tiny_model.pool import Pool
from onnxflow.export.tiny_model.progress import Log
from onnxflow.export.tiny_model.renderer import jittered_palette, render
from onnxflow.export.tiny_model.styles import pastel
from onnxflow.export.tiny_model.subjects import training_subject
from onnxflow.export.tiny_model.tokenizer import Tokenizer
from onnxflow.export.tiny_model.training import Stage, cosine, step_randomness, train, write_atomically
from onnxflow.export.tiny_model.unet import Captions, velocity_loss

FILE = "onnxflow-tiny-pastel.safetensors"
_CHANGED = ("to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2")


class LowRank(nn.Module):
    """A frozen Linear or Conv2d plus up(down(x)), where up starts at zero: W + B A, alpha equal to the rank."""

    def __init__(self, frozen: nn.Linear | nn.Conv2d, rank: int) -> None:
        super().__init__()
        self.frozen = frozen
        if isinstance(frozen, nn.Linear):
            self.down: nn.Module = nn.Linear(frozen.in_features, rank, bias=False)
            self.up: nn.Module = nn.Linear(rank, frozen.out_features, bias=False)
        else:
            self.down = nn.Conv2d(
                frozen.in_channels, rank, frozen.kernel_size, frozen.stride, frozen.padding, bias=False
            )
            self.up = nn.Conv2d(rank, frozen.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The changed layer."""
        changed: Tensor = self.frozen(x) + self.up(self.down(x))
        return changed


def add_lora(network: UNet2DConditionModel, rank: int) -> dict[str, LowRank]:
    """Put a LowRank in the place of every layer that is adapted, freeze the rest; by the layers' names."""
    network.requires_grad_(False)
    found = [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and name.endswith(_CHANGED)
    ]
    added = {}
    for name, layer in found:
        parent, _, attribute = name.rpartition(".")
        added[name] = LowRank(layer, rank)
        setattr(network.get_submodule(parent), attribute, added[name])
    return added


def train_lora(
    recipe: Recipe,
    autoencoder: AutoencoderKL,
    encoder: CLIPTextModel,
    tokenizer: Tokenizer,
    unet: UNet2DConditionModel,
    folder: Path,
    log: Log,
    crew: Crew = ALONE,
    stop_at: int | None = None,
) -> Path:
    """Train a LoRA for `unet`, or go on training, and write its file; `unet` itself is left as it was."""
    shape = recipe.lora
    seed = recipe.seed + shape.seed_offset
    torch.manual_seed(seed)
    network = UNet2DConditionModel.from_config(unet.config)
    network.load_state_dict(unet.state_dict())
    layers = add_lora(network.to(memory_format=torch.channels_last), shape.rank)
    trained = nn.ModuleDict({name.replace(".", "_"): nn.ModuleList([x.down, x.up]) for name, x in layers.items()})
    part = crew.share(shape.batch)

    @cache
    def material() -> tuple[Pool, Captions]:
        log(f"lora: draws {shape.pool} pictures")
        pool = _pastel_pool(recipe, autoencoder, np.random.default_rng(seed))
        return pool, Captions(encoder, tokenizer, pool.captions)

    def loss(step: int) -> Tensor:
        pool, told = material()
        rng = step_randomness(seed, step)
        chosen = rng.integers(len(pool.captions), size=shape.batch)
        states = told.states(chosen, rng, recipe.unet.caption_dropout, part)

        def predict(x: Tensor, t: Tensor) -> Tensor:
            return network(x, t, encoder_hidden_states=states).sample

        return velocity_loss(recipe, predict, pool.latents[chosen], rng, part, recipe.unet.gamma)

    optimiser = torch.optim.AdamW(trained.parameters(), lr=shape.learning_rate, weight_decay=0.0)
    depends = repr((recipe.seed, recipe.data, recipe.unet, shape, data_digest(), weights_digest(unet)))
    stage = Stage("lora", folder / "lora.pt", depends, trained, optimiser, cosine(shape.steps, 20), shape.steps)
    train(stage, loss, log, recipe.machine.checkpoint_every, stop_at, crew)
    if crew.leads:
        write_atomically(
            folder / FILE, lambda path: save_file(kohya_weights(layers), path, {"ss_network_dim": str(shape.rank)})
        )
    crew.wait()
    return folder / FILE


def kohya_weights(layers: dict[str, LowRank]) -> dict[str, Tensor]:
    """The weights in fp16: `lora_unet_` and the layer's name with underscores, then lora_down, lora_up and alpha."""
    weights = {}
    for name, layer in layers.items():
        key = f"lora_unet_{name.replace('.', '_')}"
        weights[f"{key}.lora_down.weight"] = layer.down.weight.detach().half().contiguous().cpu()
        weights[f"{key}.lora_up.weight"] = layer.up.weight.detach().half().contiguous().cpu()
        weights[f"{key}.alpha"] = torch.tensor(float(layer.down.weight.shape[0]), device="cpu").half()
    return weights


def merge(network: UNet2DConditionModel, weights: dict[str, Tensor], strength: float = 1.0) -> UNet2DConditionModel:
    """A copy of the network with W + strength * alpha / rank * up down in the adapted layers."""
    merged = UNet2DConditionModel.from_config(network.config)
    merged.load_state_dict(network.state_dict())
    for name, layer in merged.named_modules():
        key = f"lora_unet_{name.replace('.', '_')}"
        if f"{key}.alpha" not in weights or not isinstance(layer, nn.Linear | nn.Conv2d):
            continue
        down, up = weights[f"{key}.lora_down.weight"].float(), weights[f"{key}.lora_up.weight"].float()
        change = (up.flatten(1) @ down.flatten(1)).reshape(layer.weight.shape)
        layer.weight.data += strength * float(weights[f"{key}.alpha"]) / len(down) * change
    return merged.eval()


def _pastel_pool(recipe: Recipe, autoencoder: AutoencoderKL, rng: np.random.Generator) -> Pool:
    subjects = [training_subject(rng, replace(recipe.data, two_objects=0.3)) for _ in range(recipe.lora.pool)]
    pictures = [
        render(subject, pastel(jittered_palette(rng, recipe.data.jitter)), recipe.data.size) for subject in subjects
    ]
    return Pool(encode(autoencoder, np.stack(pictures)), tuple((caption(subject, rng),) for subject in subjects))

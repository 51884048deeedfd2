"""Do the LoRA and the ControlNet do what they are for? Measured on held-out prompts, with and without them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel
from numpy.typing import NDArray
from safetensors.torch import load_file

from onnxflow.export.tiny_model.autoencoder import decode
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.controlnet import controlled, hint
from onnxflow.export.tiny_model.diffusion import draw
from onnxflow.export.tiny_model.evaluate import Networks, draw_prompts
from onnxflow.export.tiny_model.lora import FILE, merge
from onnxflow.export.tiny_model.prompts import held_out_prompts
from onnxflow.export.tiny_model.renderer import render
from onnxflow.export.tiny_model.score import contact_sheet
from onnxflow.export.tiny_model.styles import edges
from onnxflow.export.tiny_model.text import text_states
from onnxflow.export.tiny_model.unet import guided

NEAR = 2  # pixels that a line may be beside the asked one


def judge_lora(recipe: Recipe, networks: Networks, folder: Path, count: int) -> list[str]:
    """Draw with and without the LoRA, save a sheet of both, and say how pale the pictures are: 0 none, 1 all white."""
    prompts = [text for _, text in held_out_prompts(recipe, count, 0.0)]
    plain = draw_prompts(recipe, networks, prompts)
    pale = draw_prompts(recipe, replace(networks, unet=merge(networks.unet, load_file(folder / FILE))), prompts)
    contact_sheet(np.concatenate([plain[:8], pale[:8]]), 8, folder / "lora.png")
    return [f"lora: paleness {paleness(pale):.2f}, without it {paleness(plain):.2f}, of pastel colours at least 0.55"]


def judge_controlnet(
    recipe: Recipe, networks: Networks, controlnet: ControlNetModel, folder: Path, count: int
) -> list[str]:
    """Draw along the edges of held-out scenes, save a sheet of edges and pictures, and say how well they agree."""
    asked = held_out_prompts(recipe, count, 0.0)
    lines = np.stack([edges(render(scene)) for scene, _ in asked])
    prompts = [text for _, text in asked]
    led = _draw_along(recipe, networks, controlnet, prompts, lines)
    free = draw_prompts(recipe, networks, prompts)
    shown = (lines[:8, ..., None] * np.uint8(255)).repeat(3, -1).astype(np.uint8)
    contact_sheet(np.concatenate([shown, led[:8], free[:8]]), 8, folder / "controlnet.png")
    return [f"controlnet: edges agree to {agreement(led, lines):.2f}, without it {agreement(free, lines):.2f}, best 1"]


def paleness(pictures: NDArray[np.uint8]) -> float:
    """Mean over all pixels of the smallest of red, green and blue, in 0..1."""
    return float(pictures.min(-1).mean() / 255)


def agreement(pictures: NDArray[np.uint8], lines: NDArray[np.bool_]) -> float:
    """F1 of the pictures' edges against the asked ones [n, h, w], each counted as met within NEAR pixels."""
    scores = []
    for picture, asked in zip(pictures, lines, strict=True):
        seen = edges(picture)
        met = (asked & _widened(seen)).sum() / max(1, asked.sum())
        wanted = (seen & _widened(asked)).sum() / max(1, seen.sum())
        scores.append(2 * met * wanted / max(1e-9, met + wanted))
    return float(np.mean(scores))


def _widened(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    height, width = mask.shape
    padded = np.pad(mask, NEAR)
    offsets = range(2 * NEAR + 1)
    shifted = [padded[dy : dy + height, dx : dx + width] for dy in offsets for dx in offsets]
    return np.logical_or.reduce(shifted)


def _draw_along(
    recipe: Recipe, networks: Networks, controlnet: ControlNetModel, prompts: list[str], lines: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    settings, size = recipe.evaluation, recipe.data.size // 8
    told = text_states(networks.encoder, networks.tokenizer, prompts)
    nothing = text_states(networks.encoder, networks.tokenizer, [""])
    hints = hint(lines).repeat(2, 1, 1, 1)

    def predict(x: torch.Tensor, t: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        return controlled(networks.unet, controlnet, x, t, states, hints)

    generator = torch.Generator().manual_seed(recipe.seed + settings.seed_offset)
    noise = torch.randn((len(prompts), 4, size, size), generator=generator)
    return decode(networks.autoencoder, draw(guided(predict, told, nothing, settings.guidance), noise, settings.steps))

"""Drawing held-out prompts with the finished networks and counting what is right; and sheets of pictures to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from numpy.typing import NDArray
from PIL import Image
from transformers import CLIPTextModel

from onnxflow.export.tiny_model.autoencoder import decode, encode
from onnxflow.export.tiny_model.captions import caption
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.diffusion import draw
from onnxflow.export.tiny_model.judge import Verdict, judge
from onnxflow.export.tiny_model.landscape_judge import LandscapeVerdict, judge_landscape
from onnxflow.export.tiny_model.landscapes import Landscape, held_out_landscape
from onnxflow.export.tiny_model.renderer import jittered_palette, render
from onnxflow.export.tiny_model.scenes import BACKGROUNDS, RELATIONS, Scene, has_new_pair, held_out_scene
from onnxflow.export.tiny_model.text import text_states
from onnxflow.export.tiny_model.tokenizer import Tokenizer
from onnxflow.export.tiny_model.unet import guided


@dataclass(frozen=True, slots=True)
class Networks:
    """Everything that turns a prompt into a picture."""

    autoencoder: AutoencoderKL
    encoder: CLIPTextModel
    tokenizer: Tokenizer
    unet: UNet2DConditionModel


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    right: int
    of: int

    def __str__(self) -> str:
        return f"{100 * self.right / self.of:.1f} % of {self.of}" if self.of else "none asked"


def held_out_prompts(recipe: Recipe, count: int, two_objects: float, seed: int = 0) -> list[tuple[Scene, str]]:
    """Scenes that the training never saw, with a caption each."""
    rng = np.random.default_rng([recipe.seed, recipe.evaluation.seed_offset, seed])
    scenes = [held_out_scene(rng, two_objects) for _ in range(count)]
    return [(scene, caption(scene, rng)) for scene in scenes]


def held_out_landscapes(recipe: Recipe, count: int, seed: int = 0) -> list[tuple[Landscape, str]]:
    """Landscapes that the training never saw, with a caption each."""
    rng = np.random.default_rng([recipe.seed, recipe.evaluation.seed_offset, 1, seed])
    landscapes = [held_out_landscape(rng) for _ in range(count)]
    return [(landscape, caption(landscape, rng)) for landscape in landscapes]


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
        latents = draw(guided(networks.unet, told, nothing, settings.guidance), noise, settings.steps)
        pictures.append(decode(networks.autoencoder, latents))
    return np.concatenate(pictures)


def count_right(pictures: NDArray[np.uint8], scenes: list[Scene]) -> dict[str, Share]:
    """Shares of right answers by category."""
    verdicts = [judge(picture, scene) for picture, scene in zip(pictures, scenes, strict=True)]
    new = [verdict for verdict, scene in zip(verdicts, scenes, strict=True) if has_new_pair(scene)]
    old = [verdict for verdict, scene in zip(verdicts, scenes, strict=True) if not has_new_pair(scene)]
    shares = {
        name: _share([getattr(verdict, name) for verdict in verdicts]) for name in ("all_right", *Verdict.__slots__)
    }
    for kind in BACKGROUNDS:
        of_kind = [v.all_right for v, s in zip(verdicts, scenes, strict=True) if s.background.kind == kind]
        shares[f"all_right, {kind}"] = _share(of_kind)
    for relation in RELATIONS:
        of_relation = [v.all_right for v, s in zip(verdicts, scenes, strict=True) if s.relation == relation]
        shares[f"all_right, {relation}"] = _share(of_relation)
    return {
        **shares,
        "all_right, new pair": _share([verdict.all_right for verdict in new]),
        "all_right, known pairs": _share([verdict.all_right for verdict in old]),
    }


def count_right_landscapes(pictures: NDArray[np.uint8], landscapes: list[Landscape]) -> dict[str, Share]:
    """Shares of right answers about landscapes by category."""
    verdicts = [judge_landscape(picture, wanted) for picture, wanted in zip(pictures, landscapes, strict=True)]
    return {
        name: _share([getattr(verdict, name) for verdict in verdicts])
        for name in ("all_right", *LandscapeVerdict.__slots__)
    }


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


def contact_sheet(pictures: NDArray[np.uint8], columns: int, path: Path) -> None:
    """Save pictures as one PNG, row by row with a thin grey gap."""
    columns = min(columns, len(pictures))
    framed = np.pad(pictures, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=128)
    rows = [
        np.concatenate(list(framed[start : start + columns]), 1)
        for start in range(0, len(framed) - columns + 1, columns)
    ]
    Image.fromarray(np.concatenate(rows)).save(path)


def _share(answers: Sequence[bool | None]) -> Share:
    asked = [answer for answer in answers if answer is not None]
    return Share(sum(asked), len(asked))

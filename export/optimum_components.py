"""What the graphs that Optimum makes are asked, and what PyTorch answers: the components as the runtime sees them once
it has translated their names.

Every module holds its network as `network`. None is traced: Optimum does that.
"""

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from onnxflow.export.components import Component, Dims, told_facts, vae_decoder, vae_encoder
from onnxflow.export.source import UNET, VAE, Facts, TextFacts

SIDES = (16, 24)  # latents: Optimum's graphs draw only sizes that eight latents divide


class TextEncoder(nn.Module):
    """CLIP's text encoder from token ids on; the index of the end of the text is found by the network itself."""

    def __init__(self, network: CLIPTextModel | CLIPTextModelWithProjection, *, layers: bool, projected: bool) -> None:
        super().__init__()
        self.network = network
        self.layers = layers
        self.projected = projected

    def forward(self, input_ids: Tensor, eos_index: Tensor) -> tuple[Tensor, ...]:
        """The final-normed last state [b, s, d], pooled or projected [b, d], and, for SDXL, all states."""
        found = self.network(input_ids=input_ids, output_hidden_states=True)
        pooled = found.text_embeds if self.projected else found.pooler_output
        outputs = (found.last_hidden_state, pooled)
        return (*outputs, torch.stack(found.hidden_states)) if self.layers else outputs


class Unet(nn.Module):
    """The denoiser at one timestep for the whole batch."""

    def __init__(self, network: UNet2DConditionModel, told: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.told = told

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, *others: Tensor) -> Tensor:
        """Predicted noise (or v) [b, c, h, w]."""
        facts = dict(zip(self.told, others, strict=True))
        added = {name: facts[name] for name in ("text_embeds", "time_ids") if name in facts}
        found: Tensor = self.network(
            sample,
            timestep,
            encoder_hidden_states=encoder_hidden_states,
            timestep_cond=facts.get("timestep_cond"),
            added_cond_kwargs=added or None,
            return_dict=False,
        )[0]
        return found


def components(part: str, network: Any, facts: Facts) -> Iterator[Component]:
    """The graphs that Optimum makes of a network; changes an autoencoder's attention in place."""
    if part == UNET:
        yield _unet(network, facts.texts[-1].projection if facts.family.startswith("sdxl") else None)
    elif part == VAE:
        autoencoder: AutoencoderKL = network
        yield vae_encoder(autoencoder)
        yield vae_decoder(autoencoder)
    else:
        text = next(text for text in facts.texts if text.component == part)
        yield _text_encoder(network, text, layers=facts.family.startswith("sdxl"))


def _text_encoder(network: Any, text: TextFacts, *, layers: bool) -> Component:
    tokenizer, width = text.tokenizer, text.hidden
    ends = torch.tensor([5, text.length - 1])
    ids = torch.randint(0, min(tokenizer.bos, tokenizer.eos), (2, text.length), generator=_chance(2))
    ids[:, 0] = tokenizer.bos
    for row, end in zip(ids, ends, strict=True):
        row[end:] = tokenizer.eos
    pooled = "projected" if text.projection is not None else "pooled"
    outputs: dict[str, Dims] = {
        "last_hidden_state": ("batch", "tokens", width),
        pooled: ("batch", text.projection or width),
    }
    if layers:
        outputs["hidden_states"] = (text.layers + 1, "batch", "tokens", width)
    return Component(
        text.component,
        TextEncoder(network, layers=layers, projected=text.projection is not None).eval(),
        {"input_ids": ids, "eos_index": ends},
        {"input_ids": ("batch", "tokens"), "eos_index": ("batch",)},
        outputs,
    )


def _unet(network: UNet2DConditionModel, pooled: int | None) -> Component:
    channels, width = network.config.in_channels, network.config.cross_attention_dim
    examples = {
        "sample": torch.randn((2, channels, *SIDES), generator=_chance(4)),
        "timestep": torch.tensor([700.0, 700.0]),
        "encoder_hidden_states": torch.randn((2, 77, width), generator=_chance(3)),
    }
    inputs: dict[str, Dims] = {
        "sample": ("batch", channels, "height", "width"),
        "timestep": ("batch",),
        "encoder_hidden_states": ("batch", "tokens", width),
    }
    facts = told_facts(network, pooled)
    for name, size in facts.items():
        values = torch.randn((2, size), generator=_chance(2))
        examples[name] = 512 * values.abs() if name == "time_ids" else values
        inputs[name] = ("batch", size)
    outputs: dict[str, Dims] = {"out_sample": ("batch", network.config.out_channels, "height", "width")}
    return Component("unet", Unet(network, tuple(facts)).eval(), examples, inputs, outputs)


def _chance(seed: int) -> torch.Generator:
    """The same numbers every time: an export must not depend on chance."""
    return torch.Generator().manual_seed(seed)

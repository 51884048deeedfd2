"""A tiny pipeline's networks as Optimum would write them, or Diffusers' old converter, made with torch.onnx alone."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from onnxflow.export.components import TextEncoder, text_model
from onnxflow.export.diffusers_folder import DiffusersFolder
from onnxflow.export.source import TextFacts


class IdsEncoder(nn.Module):
    """Token ids -> (text_embeds,) last_hidden_state (, pooler_output) (, every layer)."""

    def __init__(self, network: Any, text: TextFacts, layers: bool) -> None:
        super().__init__()
        self.table = text_model(network).embeddings.token_embedding
        self.encoder = TextEncoder(network)
        self.end, self.projected, self.layers = text.tokenizer.eos, text.projection is not None, layers

    def forward(self, input_ids: Tensor) -> tuple[Tensor, ...]:
        ends = (input_ids == self.end).int().argmax(-1)
        states, normed, *pooled = self.encoder(self.table(input_ids.long()), ends)
        found = (pooled[1], normed[-1]) if self.projected else (normed[-1], pooled[0])
        return (*found, *states.unbind()) if self.layers else found


class Denoiser(nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, sample: Tensor, timestep: Tensor, states: Tensor, *told: Tensor) -> Tensor:
        added = dict(zip(("text_embeds", "time_ids"), told, strict=False)) or None
        return self.network(sample, timestep, states, added_cond_kwargs=added, return_dict=False)[0]


class Decoder(nn.Module):
    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, latent: Tensor) -> Tensor:
        return self.vae.decode(latent, return_dict=False)[0]


class Encoder(nn.Module):
    def __init__(self, vae: Any, sampling: bool) -> None:
        super().__init__()
        self.vae, self.sampling = vae, sampling

    def forward(self, sample: Tensor) -> Tensor:
        posterior = self.vae.encode(sample, return_dict=False)[0]
        return posterior.sample() if self.sampling else posterior.parameters


def write_onnx_folder(source: Path, folder: Path, *, half: bool = False, old: bool = False) -> Path:
    """The pipeline in ``source`` as an ONNX folder; ``old`` as Diffusers' converter did: no configurations, 32-bit ids,
    one timestep of 64 bits, and a VAE encoder that draws its latent."""
    model = DiffusersFolder(source)
    facts = model.facts
    kind = torch.float16 if half else torch.float32
    xl = facts.family.startswith("sdxl")
    for text in facts.texts:
        network = IdsEncoder(model.network(text.component), text, layers=xl)
        names = ["text_embeds", "last_hidden_state"] if network.projected else ["last_hidden_state", "pooler_output"]
        names += [f"hidden_states.{layer}" for layer in range(text.layers + 1)] if xl else []
        ids = torch.tensor([[text.tokenizer.bos, 5, text.tokenizer.eos]] * 2, dtype=torch.int32 if old else torch.int64)
        axes = {"input_ids": {0: "b", 1: "s"}}
        _write(network.to(kind), (ids,), folder / text.component, ["input_ids"], names, axes)
        place = text.component.replace("text_encoder", "tokenizer")
        shutil.copytree(source / place, folder / place)
    unet = model.network("unet").to(kind)
    width, pooled = unet.config.cross_attention_dim, facts.texts[-1].projection
    feeds = {
        "sample": torch.randn(2, unet.config.in_channels, 8, 8, dtype=kind),
        "timestep": torch.tensor([7]) if old else torch.tensor(7, dtype=kind),
        "encoder_hidden_states": torch.randn(2, 3, width, dtype=kind),
    }
    if xl:
        feeds |= {"text_embeds": torch.randn(2, pooled, dtype=kind), "time_ids": torch.rand(2, 6, dtype=kind)}
    axes = {"sample": {0: "b", 2: "any", 3: "other"}, "encoder_hidden_states": {0: "b", 1: "s"}}
    axes |= {name: {0: "b"} for name in ("text_embeds", "time_ids") if xl}
    _write(Denoiser(unet), tuple(feeds.values()), folder / "unet", list(feeds), ["out_sample"], axes)
    vae = model.network("vae").to(kind)
    latent, image = torch.randn(1, 4, 8, 8, dtype=kind), torch.rand(1, 3, 64, 64, dtype=kind)
    free = {0: "b", 2: "h", 3: "w"}
    decoder, encoder = folder / "vae_decoder", folder / "vae_encoder"
    _write(Decoder(vae), (latent,), decoder, ["latent_sample"], ["sample"], {"latent_sample": free})
    given = "latent_sample" if old else "latent_parameters"
    _write(Encoder(vae, old), (image,), encoder, ["sample"], [given], {"sample": free})
    shutil.copytree(source / "scheduler", folder / "scheduler")
    index = json.loads((source / "model_index.json").read_text())
    if old:
        index["_class_name"] = "Onnx" + index["_class_name"]
    else:
        for part, config in {**dict.fromkeys((*index, "unet")), "vae_encoder": "vae", "vae_decoder": "vae"}.items():
            if (folder / part).is_dir() and (source / (config or part) / "config.json").is_file():
                shutil.copy(source / (config or part) / "config.json", folder / part)
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _write(network: nn.Module, given: tuple, folder: Path, inputs: list, outputs: list, axes: dict) -> None:
    folder.mkdir(parents=True)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(), given, str(folder / "model.onnx"), dynamo=False, opset_version=17, input_names=inputs,
            output_names=outputs, dynamic_axes=axes,
            custom_opsets={"com.microsoft": 1} if isinstance(network, IdsEncoder) else None,
        )  # fmt: skip

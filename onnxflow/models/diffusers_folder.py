"""A Diffusers folder that runs as it is: its .safetensors files in place, its facts from its configurations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from onnxflow.errors import ModelError
from onnxflow.models import file_guard
from onnxflow.models.checkpoint import Checkpoint, checkpoint_of, text_constants, text_network
from onnxflow.models.json_file import read_json
from onnxflow.models.loose import autoencoder, denoiser, text_encoder, unused
from onnxflow.models.manifest import LatentFormat, Manifest, TextConstants
from onnxflow.models.network import Network
from onnxflow.models.pipeline.built_in import check_text, check_unet, check_vae
from onnxflow.models.pipeline.config import COPY, read_text, read_unet, read_vae
from onnxflow.models.pipeline.family import check_fit, family_of
from onnxflow.models.pipeline.index import read_index
from onnxflow.models.pipeline.scheduler import FILE, read_sampling
from onnxflow.models.pipeline.tokenizer import files_of, read_tokenizer
from onnxflow.models.template import template_folder
from onnxflow.models.weights import Weights, shards_of, weights_of

NAMES: Final = ("diffusion_pytorch_model", "model")
"""What Diffusers and transformers call a network's file."""

_VARIANTS: Final = ("", ".fp16", ".bf16", ".non_ema", ".ema_only", ".fp32")  # as they are preferred


def open_diffusers(folder: Path, templates: Path | None = None) -> Checkpoint:
    """The pipeline in a folder; ModelError when a file is missing, damaged, a pickle, or of a shape that no template
    has."""
    found = templates or template_folder()
    index = read_index(folder)
    unet_config, vae_config = read_unet(folder / "unet" / "config.json"), read_vae(folder / "vae" / "config.json")
    text_configs = {part: read_text(folder / part / "config.json") for part in index.text_parts}
    family = family_of(unet_config, text_configs, folder)
    check_fit(unet_config, vae_config, text_configs, folder)
    check_unet(folder / "unet" / "config.json", family)
    check_vae(folder / "vae" / "config.json")
    weights: dict[str, Weights] = {}
    networks: dict[str, Network] = {}
    texts: dict[str, TextConstants] = {}
    for part in index.text_parts:
        check_text(folder / part / "config.json", text_configs[part].hidden)
        weights[part] = network_weights(folder / part)
        text = replace(text_encoder(weights[part], text_configs[part].activation == "gelu"), component=part)
        networks[part] = text_network(text, weights[part], found)
        texts[part] = _with_tokenizer(text_constants(text, family, folder / part), folder, part)
    weights["unet"] = network_weights(folder / "unet")
    networks["unet"] = denoiser(weights["unet"], found, family)[0]
    halves = network_weights(folder / "vae")
    for name, network in autoencoder(halves, found).items():
        weights[name], networks[name] = halves, network
    manifest = Manifest(
        name=index.name,
        family=family,
        license=index.license,
        width=unet_config.width * 8,
        height=unet_config.height * 8,
        latent=LatentFormat(vae_config.channels, 8, vae_config.scale),
        sampling=read_sampling(folder / FILE),
        texts=texts,
        components={},
        files={},
    )
    return checkpoint_of(folder, weights, networks, manifest, found, unused(networks, weights))


def _with_tokenizer(text: TextConstants, folder: Path, part: str) -> TextConstants:
    """What a text encoder expects, of the folder's own tokenizer where it has one; ModelError."""
    place = folder / part.replace("text_encoder", "tokenizer")
    if not place.is_dir():
        return text
    found = read_tokenizer(place, text.vocab)
    return replace(text, bos=found.bos, eos=found.eos, pad=found.pad, tokenizer=files_of(place, found))


def network_weights(folder: Path) -> Weights:
    """The tensors of one network's folder, in one file or in the several that its index names; ModelError."""
    for name in NAMES:
        for variant in _VARIANTS:
            path = folder / f"{name}{variant}.safetensors"
            if path.is_file():
                return weights_of(path)
            indexes = (f"{name}.safetensors.index{variant}.json", f"{name}.safetensors{variant}.index.json")
            index = next((folder / file for file in indexes if (folder / file).is_file()), None)
            if index is not None:
                return shards_of(folder, _shards(index))
    pickled = any(path.suffix == ".bin" for path in folder.iterdir()) if folder.is_dir() else False
    raise ModelError(
        "the network's weights are pickles, which can run code when they are read"
        if pickled
        else f"the model has no weights in {folder.name}/",
        where=str(folder),
        hint="get the folder with .safetensors files" if pickled else COPY,
    )


def _shards(index: Path) -> list[Path]:
    content: dict[str, Any] = read_json(index, COPY)
    names = content.get("weight_map")
    if not isinstance(names, dict) or not names or not all(map(_is_beside, names.values())):
        raise ModelError(f"{index.name} names no files: {json.dumps(names)[:60]}", where=str(index), hint=COPY)
    return [index.parent / name for name in sorted(set(names.values()))]


def _is_beside(name: Any) -> bool:
    """Whether a name is that of a file in the same folder."""
    return isinstance(name, str) and "/" not in name and file_guard.is_plain(name)

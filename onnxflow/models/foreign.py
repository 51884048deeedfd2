"""Folders of ONNX graphs that Optimum or Diffusers wrote: what a manifest would say of them, read from their files.

model_index.json names the parts; each graph lies in PART/model.onnx with its config.json beside it. Diffusers' old ONNX
pipelines save no configurations: theirs is what their own code takes for granted, and what the graphs declare.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from types import MappingProxyType
from typing import Final

from onnxflow.errors import ModelError
from onnxflow.models import file_guard
from onnxflow.models.graph_header import GraphHeader, read_header
from onnxflow.models.manifest import (
    OPTIMUM,
    Component,
    FileRecord,
    LatentFormat,
    Manifest,
    TextConstants,
    Variant,
)
from onnxflow.models.onnx_file import FLOAT16
from onnxflow.models.pipeline.config import COPY, TextConfig, UnetConfig, VaeConfig, read_text, read_unet, read_vae
from onnxflow.models.pipeline.family import LEVELS, check_fit, family_of, skipped_layers
from onnxflow.models.pipeline.index import INDEX, Index, read_index
from onnxflow.models.pipeline.scheduler import FILE, read_sampling
from onnxflow.models.pipeline.tokenizer import Tokenizer, files_of, read_tokenizer

GRAPH: Final = "model.onnx"
NAMED: Final = "an Optimum or Diffusers folder"
_UNKNOWN: Final = float("nan")
_PARTS: Final = ("unet", "vae_decoder", "text_encoder", "text_encoder_2")
_OPTIONAL: Final = ("vae_encoder",)  # only pictures that are redrawn need it
_EXPORT: Final = "copy the whole folder, or export the model again with Optimum or with 'onnxflow export'"
_RANKS: Final = {"sample": (4,), "timestep": (0, 1), "encoder_hidden_states": (3,)}
Dims = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Configs:
    """What is known of a pipeline's networks."""

    unet: UnetConfig
    vae: VaeConfig
    texts: Mapping[str, TextConfig]


def is_foreign(folder: Path) -> bool:
    """Whether ``folder`` is a pipeline's with ONNX graphs; False when that cannot be found out."""
    return isfile(folder / INDEX) and any(isfile(folder / part / GRAPH) for part in _PARTS)


def read_foreign(folder: Path) -> Manifest:
    """What the folder's files say; ModelError names the file that is missing or wrong."""
    index = read_index(folder)
    present = [part for part in _OPTIONAL if isfile(folder / part / GRAPH)]
    headers = {part: _read_graph(folder, part) for part in (*index.text_parts, "unet", *present, "vae_decoder")}
    found = None if _saves_no_configs(folder, index) else _read_configs(folder, index)
    rows = {part: config.vocabulary for part, config in found.texts.items()} if found is not None else {}
    tokenizers = {part: read_tokenizer(_tokenizer(folder, part), rows.get(part)) for part in index.text_parts}
    configs = found or _taken_for_granted(headers["unet"], next(iter(tokenizers.values())))
    unet, vae, texts = configs.unet, configs.vae, configs.texts
    family = family_of(unet, texts, folder)
    check_fit(unet, vae, texts, folder)
    return Manifest(
        name=index.name,
        family=family,
        license=index.license,
        width=unet.width * 8,
        height=unet.height * 8,
        latent=LatentFormat(vae.channels, 8, vae.scale),
        sampling=read_sampling(folder / FILE),
        texts=MappingProxyType({p: _text(folder, p, texts[p], tokenizers[p], family) for p in texts}),
        components=MappingProxyType({part: _component(part, header, unet) for part, header in headers.items()}),
        files=MappingProxyType(_files(folder, [*headers, *(_tokenizer(folder, part).name for part in texts)])),
        foreign=True,
    )


def _read_graph(folder: Path, part: str) -> GraphHeader:
    path = folder / part / GRAPH
    if not isfile(path):
        raise ModelError(f"the model has no {part}/{GRAPH}", where=str(folder), hint=_EXPORT)
    header = read_header(path)
    if part == "unet":
        _check_unet(header, path)
    return header


def _check_unet(header: GraphHeader, path: Path) -> None:
    """ModelError unless it takes latents, a timestep and a text."""
    for name, ranks in _RANKS.items():
        found = header.inputs.get(name)
        if found is None or len(found.shape) not in ranks:
            given = "not there" if found is None else f"of {len(found.shape)} dimensions"
            raise ModelError(
                f"the unet's input {name} is {given}, expected one of {' or '.join(map(str, ranks))} dimensions",
                where=str(path),
                hint=_EXPORT,
            )


def _saves_no_configs(folder: Path, index: Index) -> bool:
    return index.without_configs and not isfile(folder / "unet" / "config.json")


def _read_configs(folder: Path, index: Index) -> _Configs:
    """The configurations beside the graphs, the autoencoder's beside either of its graphs or in vae/."""
    places = [folder / part / "config.json" for part in ("vae_decoder", *_OPTIONAL, "vae")]
    vae = next((path for path in places if isfile(path)), places[0])
    texts = {part: read_text(folder / part / "config.json") for part in index.text_parts}
    return _Configs(read_unet(folder / "unet" / "config.json"), read_vae(vae), texts)


def _taken_for_granted(header: GraphHeader, tokenizer: Tokenizer) -> _Configs:
    """What Diffusers' old ONNX pipelines take for granted: Stable Diffusion 1.x, or 2.x, whose tokenizer pads with "!"
    as OpenCLIP's does; latents of four channels, scaled by 0.18215."""
    inputs = header.inputs
    open_clip = tokenizer.vocabulary.get("!") == tokenizer.pad
    channels, told = inputs["sample"].shape[1], inputs["encoder_hidden_states"].shape[2]
    width = told if isinstance(told, int) else 1024 if open_clip else 768
    text = TextConfig(
        vocabulary=len(tokenizer.vocabulary),
        hidden=width,
        layers=23 if open_clip else 12,
        length=77,
        projection=width,
        activation="gelu" if open_clip else "quick_gelu",
    )
    unet = UnetConfig(channels if isinstance(channels, int) else 4, 4, width, 64, 64, "", 0)
    return _Configs(unet, VaeConfig(4, 0.18215, LEVELS, quantized=True), {"text_encoder": text})


def _tokenizer(folder: Path, part: str) -> Path:
    return folder / part.replace("text_encoder", "tokenizer")


def _text(folder: Path, part: str, config: TextConfig, tokenizer: Tokenizer, family: str) -> TextConstants:
    return TextConstants(
        length=config.length,
        hidden=config.hidden,
        layers=config.layers,
        skipped=skipped_layers(family, config.layers),
        vocab=config.vocabulary,
        bos=tokenizer.bos,
        eos=tokenizer.eos,
        pad=tokenizer.pad,
        token_embedding=None,
        tokenizer=files_of(_tokenizer(folder, part), tokenizer),
    )


def _component(part: str, header: GraphHeader, unet: UnetConfig) -> Component:
    half = any(value.kind == FLOAT16 for value in (*header.inputs.values(), *header.outputs.values()))
    precision = "fp16" if half else "fp32"
    variant = Variant(f"{part}/{GRAPH}", precision, error=_UNKNOWN, allowed=_UNKNOWN)
    inputs, outputs = (
        {name: value.shape for name, value in values.items()} for values in (header.inputs, header.outputs)
    )
    if part == "unet":
        inputs |= _sized(inputs, unet)
    variants = MappingProxyType({precision: variant})
    return Component(variants, MappingProxyType(inputs), MappingProxyType(outputs), interface=OPTIMUM)


def _sized(inputs: Mapping[str, Dims], unet: UnetConfig) -> dict[str, Dims]:
    """The shapes of a denoiser's inputs with the sizes that a graph may leave free and its configuration says."""
    known = {"sample": (1, unet.in_channels), "encoder_hidden_states": (2, unet.context)}
    if unet.guidance:
        known["timestep_cond"] = (1, unet.guidance)
    sized = {}
    for name, (axis, size) in known.items():
        shape = inputs.get(name, ())
        if axis < len(shape) and not isinstance(shape[axis], int):
            sized[name] = (*shape[:axis], size, *shape[axis + 1 :])
    return sized


def _files(folder: Path, parts: list[str]) -> dict[str, FileRecord]:
    """The files of these parts, the scheduler's configuration and the index, with their sizes."""
    found = {}
    try:
        below = [path for part in dict.fromkeys(parts) for path in sorted((folder / part).iterdir())]
        for path in (folder / INDEX, folder / FILE, *below):
            name = path.relative_to(folder).as_posix()
            if isfile(path) and file_guard.is_plain(name):
                found[name] = FileRecord(path.stat().st_size, "")
    except OSError as error:
        raise ModelError(
            f"the model's files cannot be listed: {error.strerror or error}", where=str(folder), hint=COPY
        ) from None
    return found

"""Networks in files of their own, which run as they are: a denoiser, an autoencoder, text encoders.

A file says by its names and shapes what it is: in the original layout, below the prefix that it has in a checkpoint or
below none, or in Diffusers' and transformers'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os.path import commonprefix
from pathlib import Path
from typing import Final

from onnxflow.errors import ModelError
from onnxflow.models.checkpoint import (
    Checkpoint,
    checkpoint_of,
    text_constants,
    text_network,
    unet_template,
    vae_networks,
)
from onnxflow.models.layout.diffusers import denoiser_places, everything, is_denoiser, is_vae, vae_places
from onnxflow.models.layout.facts import SCALES, SIZES, sampling_of
from onnxflow.models.layout.layout import TextNetwork
from onnxflow.models.layout.place import Part, Place, part_of
from onnxflow.models.layout.text import read_clip, read_open_clip
from onnxflow.models.layout.unet import read_unet
from onnxflow.models.layout.vae import read_vae
from onnxflow.models.leftovers import leftovers
from onnxflow.models.manifest import LatentFormat, Manifest, SamplingConstants, TextConstants
from onnxflow.models.network import Network, network_of
from onnxflow.models.template import template_folder
from onnxflow.models.weights import Weights, weights_of

FAMILY_OF_CONTEXT: Final[Mapping[int, str]] = {768: "sd1", 1024: "sd2", 2048: "sdxl", 1280: "sdxl-refiner"}
"""The family of a denoiser by the width of the text that it looks at."""

FAMILY_OF_CLIP: Final[Mapping[tuple[int, ...], str]] = {
    (768,): "sd1",
    (1024,): "sd2",
    (1280,): "sdxl-refiner",
    (768, 1280): "sdxl",
}
"""The family whose text encoders have these widths."""

_DENOISER_PREFIXES: Final = ("model.diffusion_model.", "diffusion_model.", "")
_VAE_PREFIXES: Final = ("first_stage_model.", "vae.", "")
_CLIP_PREFIXES: Final = ("text_model.", "cond_stage_model.transformer.text_model.", "transformer.text_model.", "")
_OPEN_CLIP_PREFIXES: Final = ("cond_stage_model.model.", "conditioner.embedders.0.model.", "model.", "")
_OPEN_CLIP_LAYERS: Final = 24  # of 2.x's, which is used without the last
_CLIP_L_WIDTH: Final = 768
_CLIP_H_WIDTH: Final = 1024
_TAESD: Final = ("0.weight", "1.weight", "decoder.layers.0.weight", "taesd_decoder.1.weight")
_HINT: Final = "known are those of Stable Diffusion 1.x, 2.x and XL (base, refiner)"


def open_unet(path: Path, templates: Path | None = None) -> Checkpoint:
    """The denoiser in a .safetensors file, also of a checkpoint of all networks; ModelError."""
    weights, folder = weights_of(path), templates or template_folder()
    network, family, prefix, channels = denoiser(weights, folder)
    sampling = sampling_of(weights.files[0], family, channels, prefix)
    return _made(path, {"unet": (network, weights)}, family, sampling, {}, folder)


def open_vae(path: Path, templates: Path | None = None) -> Checkpoint:
    """The autoencoder in a .safetensors file, also of a checkpoint of all networks; ModelError."""
    weights, folder = weights_of(path), templates or template_folder()
    found = {name: (network, weights) for name, network in autoencoder(weights, folder).items()}
    return _made(path, found, "sd1", SamplingConstants("eps"), {}, folder)


def open_clip(paths: Sequence[Path], templates: Path | None = None) -> Checkpoint:
    """The text encoders in .safetensors files, of which each holds one, in any order; ModelError when no family has
    these."""
    folder = templates or template_folder()
    found = sorted(((text_encoder(weights), weights) for weights in map(weights_of, paths)), key=_width)
    widths = tuple(_width(one) for one in found)
    family = FAMILY_OF_CLIP.get(widths)
    if family is None:
        raise ModelError(
            f"no family has text encoders of width {' and '.join(map(str, widths))}",
            where=", ".join(map(str, paths)),
            hint="768 is CLIP-L's (1.x, and XL's first), 1024 OpenCLIP-H's (2.x), 1280 OpenCLIP-G's (XL's second)",
        )
    named: list[tuple[TextNetwork, Weights]] = []
    for (text, weights), component in zip(found, _components(family), strict=True):
        named.append((replace(text, component=component), weights))
    networks = {text.component: (text_network(text, weights, folder), weights) for text, weights in named}
    constants = {text.component: text_constants(text, family, weights.where) for text, weights in named}
    return _made(paths[0], networks, family, SamplingConstants("eps"), constants, folder)


def denoiser(weights: Weights, folder: Path, known: str | None = None) -> tuple[Network, str, str, int]:
    """The denoiser among these tensors, its family unless that is ``known``, the prefix of its names, and the channels
    it takes; ModelError."""
    where = str(weights.where)
    whole = everything(where, weights.shapes)
    if is_denoiser(whole):
        family = known or _family(whole, "mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight", where)
        lcm = "lcm-" if "time_embedding.cond_proj.weight" in whole else ""
        network = network_of("unet", f"{family}-{lcm}unet", denoiser_places(whole), weights, folder, None)
        return network, family, "", whole.shapes["conv_in.weight"][1]
    part = _below(whole, _DENOISER_PREFIXES, "input_blocks.0.0.weight", "a denoiser (UNet)")
    shape, places = read_unet(part)
    family = known or FAMILY_OF_CONTEXT.get(shape.context, "")
    if not family:
        raise _unknown(shape.context, where)
    network = network_of("unet", unet_template(family, shape), places, weights, folder, None)
    return network, family, part.prefix, shape.in_channels


def autoencoder(weights: Weights, folder: Path) -> dict[str, Network]:
    """Both halves of the autoencoder among these tensors; ModelError."""
    whole = everything(str(weights.where), weights.shapes)
    if is_vae(whole):
        return vae_networks(vae_places(whole), weights, folder)
    if any(name in whole for name in _TAESD):
        raise ModelError(
            "the file holds a TAESD, which draws previews in the place of a VAE, and this version has none",
            where=whole.where,
            hint="choose the VAE of the model's family; VAEDecodeTiled needs less memory than VAEDecode",
        )
    part = _below(whole, _VAE_PREFIXES, "encoder.conv_in.weight", "an autoencoder (VAE)")
    return vae_networks(read_vae(part)[1], weights, folder)


def text_encoder(weights: Weights, known: bool | None = None) -> TextNetwork:
    """The text encoder among these tensors; whether it is of OpenCLIP its width says, unless that is ``known``.
    ModelError."""
    whole = everything(str(weights.where), weights.shapes)
    for prefix in _OPEN_CLIP_PREFIXES:
        if f"{prefix}transformer.resblocks.0.ln_1.weight" in whole:
            part = part_of(whole.where, whole.shapes, prefix)
            layers = part.count("transformer.resblocks.{}.ln_1.weight")
            shape, places = read_open_clip(part, skipped=1 if layers == _OPEN_CLIP_LAYERS else 0)
            return TextNetwork("text_encoder", shape, places, open_clip=True)
    part = _below(whole, _CLIP_PREFIXES, "encoder.layers.0.layer_norm1.weight", "a text encoder (CLIP)")
    shape, found = read_clip(part)
    places = dict(found)
    open_clip = known if known is not None else shape.hidden != _CLIP_L_WIDTH
    if open_clip and shape.layers == _OPEN_CLIP_LAYERS:
        shape = replace(shape, layers=shape.layers - 1)
        places = {
            name: place for name, place in places.items() if not name.startswith(f"encoder.layers.{shape.layers}.")
        }
    elif "text_projection.weight" in whole and open_clip and shape.hidden != _CLIP_H_WIDTH:
        projection = whole.shape("text_projection.weight", 2)
        places["text_projection.weight"] = Place("text_projection.weight", projection)
        shape = replace(shape, projection=projection[0])
    return TextNetwork("text_encoder", shape, places, open_clip)


def _below(whole: Part, prefixes: Sequence[str], witness: str, what: str) -> Part:
    """The part below the first prefix that has the witness; ModelError when none has it."""
    for prefix in prefixes:
        if prefix + witness in whole:
            return part_of(whole.where, whole.shapes, prefix)
    raise ModelError(f"the file holds no {what.removeprefix('a ').removeprefix('an ')}", where=whole.where, hint=_HINT)


def _family(part: Part, witness: str, where: str) -> str:
    context = part.shape(witness, 2)[1]
    if context not in FAMILY_OF_CONTEXT:
        raise _unknown(context, where)
    return FAMILY_OF_CONTEXT[context]


def _unknown(context: int, where: str) -> ModelError:
    return ModelError(f"the denoiser looks at a text of width {context}", where=where, hint=_HINT)


def _width(found: tuple[TextNetwork, Weights]) -> int:
    return found[0].shape.hidden


def _components(family: str) -> tuple[str, ...]:
    both = ("text_encoder", "text_encoder_2")
    return {"sdxl": both, "sdxl-refiner": both[1:]}.get(family, both[:1])


def _made(
    path: Path,
    found: Mapping[str, tuple[Network, Weights]],
    family: str,
    sampling: SamplingConstants,
    texts: Mapping[str, TextConstants],
    folder: Path,
) -> Checkpoint:
    """A model of some networks only."""
    networks = {name: network for name, (network, _) in found.items()}
    manifest = Manifest(
        name=path.stem,
        family=family,
        license="unknown",
        width=SIZES[family],
        height=SIZES[family],
        latent=LatentFormat(4, 8, SCALES[family]),
        sampling=sampling,
        texts=texts,
        components={},
        files={},
    )
    owners = {name: weights for name, (_, weights) in found.items()}
    return checkpoint_of(path, owners, networks, manifest, folder, unused(networks, owners))


def unused(networks: Mapping[str, Network], owners: Mapping[str, Weights]) -> tuple[str, ...]:
    """What nothing reads of the tensors beside those that are read: the other networks of a whole checkpoint are not
    meant."""
    found: list[str] = []
    for weights in dict.fromkeys(owners.values()):
        own = [network for name, network in networks.items() if owners[name] is weights]
        used = {p.key for network in own for p in (*network.places.values(), network.tokens) if p is not None}
        prefix = commonprefix(sorted(used))  # noqa: RUF071 - of names, not of paths
        found += leftovers(sorted(name for name in weights.owners if name.startswith(prefix)), used)
    return tuple(dict.fromkeys(found))

"""A checkpoint that runs as it is: its weights stay in their .safetensors file, its graphs are templates of the
package.

Nothing is copied or written: a template is told where each weight lies in the file, and ONNX Runtime maps it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from onnxflow.errors import ModelError, did_you_mean
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.graph_header import Declared, graph_header
from onnxflow.models.layout.facts import SCALES, SIZES, sampling_of, stated
from onnxflow.models.layout.layout import UNET, Layout, TextNetwork, read_layout
from onnxflow.models.layout.place import Place
from onnxflow.models.layout.unet import UnetShape
from onnxflow.models.leftovers import leftovers
from onnxflow.models.manifest import (
    DEFAULT_VARIANT,
    Component,
    LatentFormat,
    Manifest,
    TextConstants,
    Variant,
)
from onnxflow.models.network import Network, located, network_of, parameters, stored_bytes
from onnxflow.models.read_ahead import read_ahead
from onnxflow.models.source import Source
from onnxflow.models.template import filled, read_template, template_folder
from onnxflow.models.weights import Rows, Weights, weights_of

CLIP_TOKENS: Final = 49408
CLIP_START: Final = 49406
CLIP_END: Final = 49407
CLIP_PADS: Final = {"clip-l": CLIP_END, "clip-h": 0, "clip-g": 0}
"""What fills a chunk up: the end of text, and in OpenCLIP nothing's number."""

TOKEN_TABLE: Final = "embeddings.token_embedding.weight"
_DECODER: Final = ("decoder.", "post_quant_conv.")
_ENCODER: Final = ("encoder.", "quant_conv.")


@dataclass(frozen=True, slots=True)
class Checkpoint(Source):
    """A model in .safetensors files whose tensors all fit the templates of its family.

    ``unused`` says of the tensors that nothing reads what they are, a line each kind. The file must stay as it is while
    the model is in use: what is read of it is read where it lies.
    """

    networks: Mapping[str, Network] = field(default_factory=dict, compare=False, repr=False)
    weights: Mapping[str, Weights] = field(default_factory=dict, compare=False, repr=False)
    templates: Path = field(default_factory=template_folder, compare=False, repr=False)
    unused: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What of its file nothing reads."""
        return tuple(f"{self.root.name}: {line}" for line in self.unused)

    def read_ahead(self, component: str) -> None:
        """Have the weights of a component read from the disk, which will be wanted soon."""
        if component not in self.networks:
            return
        weights = self.weights[component]
        for file in weights.files:
            ranges = (
                (file.tensors[place.key].offset, file.tensors[place.key].length)
                for place in self.networks[component].places.values()
                if place.key in file.tensors
            )
            read_ahead(file.path, ranges)

    def weight_bytes(self, component: str, variant: str) -> int:
        """Bytes of a component's weights as they are stored; ModelError."""
        return stored_bytes(self._network(component, variant), self.weights[component])

    def parameters(self, component: str, variant: str) -> int:
        """How many numbers a component's weights are; ModelError."""
        return parameters(self._network(component, variant))

    def graph(self, component: str, variant: str) -> GraphFile:
        """The component's template, filled; ModelError."""
        network, weights = self._network(component, variant), self.weights[component]
        weights.check()
        data = filled(read_template(self.templates, network.template), located(network, weights))
        return GraphFile(weights.graph_place, data, direct=True)

    def token_table(self, component: str) -> Rows | None:
        """The table of a text encoder's tokens, mapped from the file; ModelError."""
        tokens = self._network(component, DEFAULT_VARIANT).tokens
        return self.weights[component].rows(tokens.key) if tokens is not None else None

    def _network(self, component: str, variant: str) -> Network:
        if variant not in self.component(component).variants:
            raise ModelError(
                f"the model's {component} has no variant {variant!r}",
                where=str(self.root),
                hint=did_you_mean(variant, self.variants(component), what="variants"),
            )
        return self.networks[component]


def open_checkpoint(path: Path, templates: Path | None = None) -> Checkpoint:
    """The model in one .safetensors file in the original layout; ModelError when it is damaged, of no known family, or
    a tensor is missing or misshaped."""
    folder = templates or template_folder()
    weights = weights_of(path)
    layout = read_layout(weights.shapes, str(path))
    prefix, metadata = UNET, weights.files[0].metadata
    networks = networks_of(layout, weights, folder)
    used = {place.key for network in networks.values() for place in (*network.places.values(), network.tokens) if place}
    return checkpoint_of(
        path,
        dict.fromkeys(networks, weights),
        networks,
        Manifest(
            name=stated(metadata, "modelspec.title") or path.stem,
            family=layout.family,
            license=stated(metadata, "modelspec.license") or "unknown",
            width=SIZES[layout.family],
            height=SIZES[layout.family],
            latent=LatentFormat(layout.vae.latent, 8, SCALES[layout.family]),
            sampling=sampling_of(weights.files[0], layout.family, layout.unet.in_channels, prefix),
            texts={text.component: text_constants(text, layout.family, path) for text in layout.text},
            components={},
            files={},
        ),
        folder,
        unused=leftovers(weights.owners, used),
    )


def networks_of(layout: Layout, weights: Weights, folder: Path) -> dict[str, Network]:
    """All components of a checkpoint; ModelError when one does not fit its template."""
    found = {text.component: text_network(text, weights, folder) for text in layout.text}
    found["unet"] = network_of(
        "unet", unet_template(layout.family, layout.unet), layout.unet_places, weights, folder, None
    )
    return found | vae_networks(layout.vae_places, weights, folder)


def unet_template(family: str, shape: UnetShape) -> str:
    """The template that a family's denoiser runs in."""
    return f"{family}-{'lcm-' if shape.guidance is not None else ''}unet"


def text_template(text: TextNetwork) -> str:
    """The template that a text encoder runs in; SDXL's second one has a projection, 2.x's has none."""
    if not text.open_clip:
        return "clip-l"
    return "clip-h" if text.shape.projection is None else "clip-g"


def text_network(text: TextNetwork, weights: Weights, folder: Path) -> Network:
    """A text encoder; ModelError when it does not fit its template."""
    places = {name: place for name, place in text.places.items() if name != TOKEN_TABLE}
    return network_of(text.component, text_template(text), places, weights, folder, text.places[TOKEN_TABLE])


def vae_networks(places: Mapping[str, Place], weights: Weights, folder: Path) -> dict[str, Network]:
    """Both halves of an autoencoder; ModelError when one does not fit its template."""

    def half(component: str, prefixes: tuple[str, ...]) -> Network:
        own = {name: place for name, place in places.items() if name.startswith(prefixes)}
        return network_of(component, component.replace("_", "-"), own, weights, folder, None)

    return {"vae_encoder": half("vae_encoder", _ENCODER), "vae_decoder": half("vae_decoder", _DECODER)}


def text_constants(text: TextNetwork, family: str, path: Path) -> TextConstants:
    """What a text encoder expects; ModelError when its tokens are not CLIP's."""
    if text.shape.vocabulary != CLIP_TOKENS:
        raise ModelError(
            f"the {text.component} has {text.shape.vocabulary} tokens, CLIP's tokenizer {CLIP_TOKENS}",
            where=str(path),
            hint="a checkpoint in one file brings no tokenizer of its own: export its Diffusers folder",
        )
    return TextConstants(
        length=text.shape.length,
        hidden=text.shape.hidden,
        layers=text.shape.layers,
        skipped=1 if family == "sd2" else 0,
        vocab=CLIP_TOKENS,
        bos=CLIP_START,
        eos=CLIP_END,
        pad=CLIP_PADS[text_template(text)],
        token_embedding=None,
        tokenizer=None,
    )


def checkpoint_of(
    root: Path,
    weights: Mapping[str, Weights],
    networks: Mapping[str, Network],
    manifest: Manifest,
    templates: Path,
    unused: tuple[str, ...] = (),
) -> Checkpoint:
    """A model of these networks; the manifest gets its components from their templates."""
    components = {name: _component(network, templates) for name, network in networks.items()}
    return Checkpoint(
        root=root,
        identity=_identity(weights.values()),
        manifest=replace(manifest, components=MappingProxyType(components)),
        networks=MappingProxyType(dict(networks)),
        weights=MappingProxyType(dict(weights)),
        templates=templates,
        unused=unused,
    )


def _component(network: Network, templates: Path) -> Component:
    """A component as its template declares it, with the channels that the file has."""
    template = read_template(templates, network.template)
    header = graph_header(template.graph)
    first = network.places.get("conv_in.weight")
    channels = first.shape[1] if first is not None else 0

    def shape(name: str, declared: Declared) -> tuple[str | int, ...]:
        sizes = declared.shape
        return (sizes[0], channels, *sizes[2:]) if name == "sample" else sizes

    inputs = {name: shape(name, declared) for name, declared in header.inputs.items()}
    outputs = {name: declared.shape for name, declared in header.outputs.items()}
    variant = Variant(file="", storage="native", direct=True)
    return Component({DEFAULT_VARIANT: variant}, inputs, outputs)


def _identity(weights: Iterable[Weights]) -> str:
    """The same for the same files: their headers, sizes, times of change and numbers on the disk."""
    seen = []
    for file in {file.path: file for part in weights for file in part.files}.values():
        state = file.source.state  # with the file itself: archives give all their files one time
        shapes = [(name, info.dtype, info.shape, info.offset) for name, info in file.tensors.items()]
        seen.append([state.device, state.inode, state.size, state.mtime_ns, shapes, sorted(file.metadata.items())])
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()

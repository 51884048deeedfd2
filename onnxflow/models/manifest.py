"""The manifest of an exported model folder (``onnxflow.json``), parsed into frozen data.

Format 2, written by ``onnxflow export``. A manifest is the only thing that says what the graphs beside it expect, so
every entry that is read must have its type and make sense, and families, predictions and schedules must be known ones.
Entries that this version does not read are ignored: newer writers may add facts. Of folders that others wrote, the same
is read from their own files (foreign.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from onnxflow.errors import ModelError, shown
from onnxflow.models.json_object import JsonObject

FORMAT: Final = 2
FILE_NAME: Final = "onnxflow.json"
LARGEST: Final = 4 * 1024 * 1024
"""No manifest has more bytes; a larger file is something else and is not read."""

FAMILIES: Final = ("sd1", "sd2", "sdxl", "sdxl-refiner")
TEXT_ENCODERS: Final = ("text_encoder", "text_encoder_2")
PREDICTIONS: Final = ("eps", "v")
SCHEDULES: Final = ("scaled_linear", "linear")
DEFAULT_VARIANT: Final = "fp32"
OWN: Final = "onnxflow"
OPTIMUM: Final = "optimum"
INTERFACES: Final = (OWN, OPTIMUM)

WIDTHS: Final[Mapping[str, int]] = {"fp32": 4, "fp16": 2, "int8": 1}
"""Bytes of a weight by the precision that it is stored in."""

_MOST_COLOUR: Final = 1e3  # of a map to -1..1; a larger number is damage


@dataclass(frozen=True, slots=True)
class LatentRgb:
    """A linear map from a latent in the sampler's space to the mean colour of the pixels that it stands for: RGB in
    -1..1 is the latent's channels times ``factors`` [channels][3], plus ``bias``."""

    factors: tuple[tuple[float, ...], ...]
    bias: tuple[float, ...] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """Latents: channel count, pixels per latent, the factor between the VAE's space and the sampler's, and their
    colours where the bundle says them."""

    channels: int
    factor: int
    scale: float
    rgb: LatentRgb | None = None


@dataclass(frozen=True, slots=True)
class SamplingConstants:
    """What the network predicts and the noise schedule it was trained on, Stable Diffusion 1.x's unless said;
    ``zero_snr`` says that it was rescaled to end in pure noise (Lin et al. 2024, algorithm 1)."""

    prediction: str
    schedule: str = "scaled_linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    timesteps: int = 1000
    zero_snr: bool = False


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """The tokenizer's two files, relative to the bundle, or twice its only one (a foreign folder's tokenizer.json), and
    whether text is lower-cased first."""

    vocab: str
    merges: str
    lowercase: bool


@dataclass(frozen=True, slots=True)
class TextConstants:
    """A text encoder: chunk length, width, layer count, vocabulary size, special tokens, token table file, tokenizer.

    ``skipped`` is how many last layers the network was exported without (Stable Diffusion 2.x: one). A graph that takes
    token ids looks them up itself and has no table (None). A checkpoint in one file has its table among its tensors,
    and brings no tokenizer (None): CLIP's is meant.
    """

    length: int
    hidden: int
    layers: int
    skipped: int
    vocab: int
    bos: int
    eos: int
    pad: int
    token_embedding: str | None
    tokenizer: TokenizerFiles | None


@dataclass(frozen=True, slots=True)
class Variant:
    """One precision of a component: its graph file, the precision its weights are stored in, its error relative to
    PyTorch as measured at export, and the one that was allowed; NaN where nobody measured it (foreign folders). Of a
    ``direct`` one the graph itself widens its weights, so that their file can be used as it is (GraphFile)."""

    file: str
    storage: str
    error: float = 0.0
    allowed: float = 0.0
    direct: bool = False


DENOISER: Final = "unet"

TORCH: Final = "PyTorch"
CHECKPOINT: Final = "the checkpoint"


@dataclass(frozen=True, slots=True)
class Component:
    """One network of the bundle: its variants by precision, its graph's inputs and outputs with named dimensions, and
    whose names and meanings these are: the component contract's, or Optimum's, which the runtime translates."""

    variants: Mapping[str, Variant]
    inputs: Mapping[str, tuple[str | int, ...]]
    outputs: Mapping[str, tuple[str | int, ...]]
    interface: str = OWN

    @property
    def default(self) -> str:
        """The variant that is used unless another is asked for: fp32, or the first listed where there is no fp32."""
        return DEFAULT_VARIANT if DEFAULT_VARIANT in self.variants else next(iter(self.variants))


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes and SHA-256 of one file of the bundle; empty where nobody wrote it down (foreign folders)."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything ``onnxflow.json`` says; ``foreign`` when there is none, and the same was read from the files of an
    Optimum or Diffusers folder. ``compared_with`` is what gave the answers that the graphs were compared with."""

    name: str
    family: str
    license: str
    width: int
    height: int
    latent: LatentFormat
    sampling: SamplingConstants
    texts: Mapping[str, TextConstants]
    components: Mapping[str, Component]
    files: Mapping[str, FileRecord]
    foreign: bool = False
    compared_with: str = TORCH

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that the model can be asked for, in the order they are listed: those of its denoiser, where it
        has one, and not one that a small component alone has."""
        denoiser = self.components.get(DENOISER)
        items = [denoiser] if denoiser is not None else self.components.values()
        return tuple(dict.fromkeys(variant for item in items for variant in item.variants))

    @property
    def alternatives(self) -> tuple[str, ...]:
        """The variants that change something: some component has them and uses another by default."""
        items = self.components.values()
        return tuple(v for v in self.variants if any(v in item.variants and v != item.default for item in items))


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in ``data``; ModelError naming ``where`` and the entry that is missing or wrong."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the manifest is not JSON: {error}", where=where, hint="export the model again") from None
    root = JsonObject(document, where)
    found = root.value("format", int)
    if found != FORMAT:
        raise ModelError(
            f"the manifest has format {shown(found)}, this version reads format {FORMAT}",
            where=where,
            hint="update onnxflow, or export the model again with this version",
        )
    image, latent, tools = root.section("image"), root.section("latent"), document.get("tools")
    components = root.mapping("components", _component)
    return Manifest(
        name=root.text("name"),
        family=root.choice("family", FAMILIES),
        license=root.text("license"),
        width=image.whole("width"),
        height=image.whole("height"),
        latent=_latent(latent),
        sampling=_sampling(root.section("sampling"), where),
        texts=_texts(root.mapping("text", _text, least=1), components, where),
        components=components,
        files=root.mapping("files", lambda item: FileRecord(item.whole("size", 0, 2**63 - 1), item.text("sha256"))),
        compared_with=CHECKPOINT if isinstance(tools, dict) and "torch" not in tools else TORCH,
    )


def _latent(item: JsonObject) -> LatentFormat:
    channels = item.whole("channels")
    rgb = None
    if item.has("rgb"):
        colours = item.section("rgb")
        rgb = LatentRgb(colours.rows("factors", channels, 3, _MOST_COLOUR), colours.numbers("bias", 3, _MOST_COLOUR))
    return LatentFormat(channels, item.whole("factor"), item.number("scale", 1e-6, 1e6), rgb)


def _sampling(item: JsonObject, where: str) -> SamplingConstants:
    start, end = item.number("beta_start", 1e-9, 0.9999), item.number("beta_end", 1e-9, 0.9999)
    if start > end:
        raise ModelError(
            f"the manifest's sampling.beta_start is {start}, expected at most beta_end, which is {end}",
            where=where,
            hint="export the model again",
        )
    return SamplingConstants(
        prediction=item.choice("prediction", PREDICTIONS),
        schedule=item.choice("schedule", SCHEDULES),
        beta_start=start,
        beta_end=end,
        timesteps=item.whole("timesteps", 2),
        zero_snr=item.value("zero_snr", bool),
    )


def _texts(
    found: Mapping[str, TextConstants], components: Mapping[str, Component], where: str
) -> Mapping[str, TextConstants]:
    """The text encoders in the order in which their states are joined; each has a token table unless its graph takes
    token ids."""
    unknown = [name for name in found if name not in TEXT_ENCODERS]
    if unknown:
        raise ModelError(
            f"the manifest's text has {shown(unknown[0])}, expected {' or '.join(TEXT_ENCODERS)}",
            where=where,
            hint="export the model again",
        )
    for name, text in found.items():
        interface = components[name].interface if name in components else OWN
        if text.token_embedding is None and interface == OWN:
            raise ModelError(
                f"the manifest's text.{name}.token_embedding is None, expected a text",
                where=where,
                hint="export the model again",
            )
    return {name: found[name] for name in TEXT_ENCODERS if name in found}


def _text(item: JsonObject) -> TextConstants:
    vocab, tokenizer = item.whole("vocab"), item.section("tokenizer")
    return TextConstants(
        length=item.whole("length"),
        hidden=item.whole("hidden"),
        layers=item.whole("layers"),
        skipped=item.whole("skipped", 0, 1),
        vocab=vocab,
        bos=item.whole("bos", 0, vocab - 1),
        eos=item.whole("eos", 0, vocab - 1),
        pad=item.whole("pad", 0, vocab - 1),
        token_embedding=item.text("token_embedding") if item.has("token_embedding") else None,
        tokenizer=TokenizerFiles(tokenizer.text("vocab"), tokenizer.text("merges"), tokenizer.value("lowercase", bool)),
    )


def _component(item: JsonObject) -> Component:
    return Component(
        variants=item.mapping("variants", _variant, least=1),
        inputs=item.shapes("inputs"),
        outputs=item.shapes("outputs"),
        interface=item.choice("interface", INTERFACES) if item.has("interface") else OWN,
    )


def _variant(item: JsonObject) -> Variant:
    error, allowed = item.number("relative_error", 0, 1e9), item.number("allowed_error", 0, 1)
    direct = item.has("direct") and item.value("direct", bool)
    return Variant(item.text("file"), item.text("storage"), error, allowed, direct)

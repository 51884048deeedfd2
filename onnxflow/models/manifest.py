"""The manifest of an exported model folder (``onnxflow.json``), parsed into frozen data.

Format 1, written by ``onnxflow export``. Parsing refuses what it does not understand by name: a manifest is the only
thing that says what the graphs beside it expect.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from onnxflow.errors import ModelError

FORMAT = 1
FILE_NAME = "onnxflow.json"

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class LatentFormat:
    """Latents: channel count, pixels per latent, and the factor between the VAE's space and the sampler's."""

    channels: int
    factor: int
    scale: float


@dataclass(frozen=True, slots=True)
class SamplingConstants:
    """What the network predicts and the noise schedule it was trained on."""

    prediction: str
    schedule: str
    beta_start: float
    beta_end: float
    timesteps: int


@dataclass(frozen=True, slots=True)
class TextConstants:
    """The text encoder: chunk length, width, layer count, vocabulary size, special tokens, token table file."""

    length: int
    hidden: int
    layers: int
    vocab: int
    bos: int
    eos: int
    pad: int
    token_embedding: str


@dataclass(frozen=True, slots=True)
class TokenizerFiles:
    """The tokenizer's two files, relative to the bundle, and whether text is lower-cased first."""

    vocab: str
    merges: str
    lowercase: bool


@dataclass(frozen=True, slots=True)
class Variant:
    """One precision of a component: its graph file and the precision its weights are stored in."""

    file: str
    storage: str


@dataclass(frozen=True, slots=True)
class Component:
    """One network of the bundle: its variants by precision, its inputs and outputs with named dimensions."""

    variants: Mapping[str, Variant]
    inputs: Mapping[str, tuple[str | int, ...]]
    outputs: Mapping[str, tuple[str | int, ...]]


@dataclass(frozen=True, slots=True)
class FileRecord:
    """Size in bytes and SHA-256 of one file of the bundle."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything ``onnxflow.json`` says."""

    name: str
    family: str
    license: str
    width: int
    height: int
    latent: LatentFormat
    sampling: SamplingConstants
    text: TextConstants
    tokenizer: TokenizerFiles
    components: Mapping[str, Component]
    files: Mapping[str, FileRecord]


def parse_manifest(data: bytes, where: str) -> Manifest:
    """The manifest in ``data``; ModelError naming ``where`` and the entry that is missing or wrong."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the manifest is not JSON: {error}", where=where, hint="export the model again") from None
    root = _Reader(document, where, "")
    found = root.value("format", int)
    if found != FORMAT:
        raise ModelError(
            f"the manifest has format {found}, this version reads format {FORMAT}",
            where=where,
            hint="update onnxflow, or export the model again with this version",
        )
    latent, sampling, text = root.section("latent"), root.section("sampling"), root.section("text")
    image, tokenizer = root.section("image"), root.section("tokenizer")
    return Manifest(
        name=root.value("name", str),
        family=root.value("family", str),
        license=root.value("license", str),
        width=image.value("width", int),
        height=image.value("height", int),
        latent=LatentFormat(latent.value("channels", int), latent.value("factor", int), latent.number("scale")),
        sampling=SamplingConstants(
            prediction=sampling.value("prediction", str),
            schedule=sampling.value("schedule", str),
            beta_start=sampling.number("beta_start"),
            beta_end=sampling.number("beta_end"),
            timesteps=sampling.value("timesteps", int),
        ),
        text=TextConstants(
            length=text.value("length", int),
            hidden=text.value("hidden", int),
            layers=text.value("layers", int),
            vocab=text.value("vocab", int),
            bos=text.value("bos", int),
            eos=text.value("eos", int),
            pad=text.value("pad", int),
            token_embedding=text.value("token_embedding", str),
        ),
        tokenizer=TokenizerFiles(
            tokenizer.value("vocab", str), tokenizer.value("merges", str), tokenizer.value("lowercase", bool)
        ),
        components=root.mapping("components", _component),
        files=root.mapping("files", lambda item: FileRecord(item.value("size", int), item.value("sha256", str))),
    )


def _component(item: _Reader) -> Component:
    return Component(
        variants=item.mapping("variants", lambda v: Variant(v.value("file", str), v.value("storage", str))),
        inputs=_shapes(item.value("inputs", dict)),
        outputs=_shapes(item.value("outputs", dict)),
    )


def _shapes(document: dict[str, list[str | int]]) -> Mapping[str, tuple[str | int, ...]]:
    return MappingProxyType({name: tuple(shape) for name, shape in document.items()})


class _Reader:
    """A JSON object with the path to it, so that an error can say which entry is wrong."""

    def __init__(self, document: Any, where: str, path: str) -> None:
        if not isinstance(document, dict):
            raise ModelError(f"the manifest's {path or 'document'} is not an object", where=where)
        self._document = document
        self._where = where
        self._path = path

    def value(self, key: str, kind: type[_T]) -> _T:
        found = self._document.get(key)
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise ModelError(
                f"the manifest's {self._path}{key} is {found!r}, expected {kind.__name__}",
                where=self._where,
                hint="export the model again",
            )
        return found

    def number(self, key: str) -> float:
        found = self._document.get(key)
        return float(found) if isinstance(found, int) and not isinstance(found, bool) else self.value(key, float)

    def section(self, key: str) -> _Reader:
        return _Reader(self._document.get(key), self._where, f"{self._path}{key}.")

    def mapping(self, key: str, read: Callable[[_Reader], _T]) -> Mapping[str, _T]:
        section = self.section(key)
        return MappingProxyType({name: read(section.section(name)) for name in section._document})

"""model_index.json: which pipeline a folder is, and which parts it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from onnxflow.errors import ModelError, printable, shown
from onnxflow.models.json_file import read_json
from onnxflow.models.manifest import TEXT_ENCODERS

INDEX: Final = "model_index.json"
KNOWN: Final = "this version knows Stable Diffusion 1.x, 2.x and XL"
# What the pipelines' names begin with: Diffusers' own, its old ONNX ones, and Optimum's.
_PREFIXES = ("Onnx", "ORT")
_PIPELINES = ("StableDiffusion", "LatentConsistencyModel")
_NOT_THESE = ("StableDiffusion3", "StableDiffusionUpscale", "StableDiffusionLatentUpscale", "StableDiffusionGLIGEN")


@dataclass(frozen=True, slots=True)
class Index:
    """The pipeline's class, the model's name and licence, and the class of each part that is there."""

    pipeline: str
    name: str
    license: str
    parts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def text_parts(self) -> tuple[str, ...]:
        """The text encoders, in the order in which their states are joined; SDXL's refiner has only the second."""
        found = tuple(part for part in TEXT_ENCODERS if part in self.parts)
        return found or TEXT_ENCODERS[:1]

    @property
    def without_configs(self) -> bool:
        """Whether it is of Diffusers' old ONNX pipelines, which save no configurations of their networks."""
        return self.pipeline.startswith("OnnxStableDiffusion")


def read_index(folder: Path) -> Index:
    """What model_index.json says; ModelError when it is no folder of a Stable Diffusion model."""
    path = folder / INDEX
    content = read_json(path, "a Diffusers folder has model_index.json, unet/, vae/, text_encoder/ and tokenizer/")
    kind = str(content.get("_class_name"))
    plain = kind
    for prefix in _PREFIXES:
        plain = plain.removeprefix(prefix)
    if not plain.startswith(_PIPELINES) or plain.startswith(_NOT_THESE):
        raise ModelError(f"the model is a {shown(kind)}", where=str(path), hint=KNOWN)
    parts = {
        name: str(entry[1])
        for name, entry in content.items()
        if isinstance(entry, list) and len(entry) == 2 and entry[1] is not None
    }
    return Index(
        pipeline=kind,
        name=printable(Path(_text(content, "_name_or_path") or str(folder.resolve())).name),
        license=_text(content, "license") or "unknown",
        parts=MappingProxyType(parts),
    )


def _text(content: Mapping[str, Any], key: str) -> str:
    """A text that can be printed on one line; empty where there is none."""
    found = content.get(key)
    return found if isinstance(found, str) and found.isprintable() else ""

"""The manifest `onnxflow.json` of a bundle: what its graphs expect, and the size and SHA-256 of every file."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from onnxflow.export.components import Component
from onnxflow.export.source import Facts, TextFacts

FORMAT = 2
FILE_NAME = "onnxflow.json"
_TOOLS = ("torch", "diffusers", "transformers", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class Exported:
    """One component as it lies in the bundle."""

    component: Component
    precision: str
    storage: str
    file: str
    max_relative_error: float


def token_table(part: str) -> str:
    """Where a text encoder's token table lies in the bundle."""
    return f"{part}/token_embedding.npy"


def tokenizer_folder(part: str) -> str:
    """Where a text encoder's tokenizer lies in the bundle, as in Diffusers' folders."""
    return part.replace("text_encoder", "tokenizer")


def write_manifest(bundle: Path, facts: Facts, exported: list[Exported]) -> None:
    """Write the manifest of a folder that is otherwise complete; the same folder gives the same bytes."""
    names = dict.fromkeys(part.component.name for part in exported)
    content = {
        "format": FORMAT,
        "name": facts.name,
        "family": facts.family,
        "license": facts.license,
        "latent": {"channels": facts.latent_channels, "factor": 8, "scale": facts.latent_scale},
        "sampling": asdict(facts.sampling),
        "image": {"width": facts.width, "height": facts.height},
        "text": {text.component: _text(text) for text in facts.texts},
        "components": {name: _component([part for part in exported if part.component.name == name]) for name in names},
        "files": _files(bundle),
        "tools": {"python": platform.python_version(), **{tool: version(tool) for tool in _TOOLS}},
    }
    (bundle / FILE_NAME).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _text(text: TextFacts) -> Mapping[str, object]:
    folder, tokenizer = tokenizer_folder(text.component), text.tokenizer
    return {
        "length": text.length,
        "hidden": text.hidden,
        "layers": text.layers,
        "skipped": text.skipped,
        "vocab": text.vocabulary,
        "bos": tokenizer.bos,
        "eos": tokenizer.eos,
        "pad": tokenizer.pad,
        "token_embedding": token_table(text.component),
        "tokenizer": {
            "vocab": f"{folder}/vocab.json",
            "merges": f"{folder}/merges.txt",
            "lowercase": tokenizer.lowercase,
        },
    }


def _component(parts: list[Exported]) -> dict[str, object]:
    """One component in all its precisions."""
    component = parts[0].component
    return {
        "variants": {
            part.precision: {
                "file": part.file,
                "storage": part.storage,
                "max_relative_error": float(f"{part.max_relative_error:.2g}"),
            }
            for part in parts
        },
        "inputs": {name: list(dims) for name, dims in component.inputs.items()},
        "outputs": {name: list(dims) for name, dims in component.outputs.items()},
    }


def _files(bundle: Path) -> dict[str, dict[str, object]]:
    found = {}
    for path in sorted(bundle.rglob("*")):
        if path.is_file():
            name = path.relative_to(bundle).as_posix()
            found[name] = {"size": path.stat().st_size, "sha256": _sha256(path)}
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

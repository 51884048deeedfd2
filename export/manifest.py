"""The manifest `onnxflow.json` of a bundle: what its graphs expect, and the size and SHA-256 of every file."""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from onnxflow.export.components import Component
from onnxflow.export.source import Source

FORMAT = 1
FILE_NAME = "onnxflow.json"
TOKEN_TABLE = "text_encoder/token_embedding.npy"
_TOOLS = ("torch", "diffusers", "transformers", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class Exported:
    """One component as it lies in the bundle."""

    component: Component
    precision: str
    storage: str
    file: str
    max_relative_error: float


def write_manifest(bundle: Path, source: Source, exported: list[Exported]) -> None:
    """Write the manifest of a folder that is otherwise complete; the same folder gives the same bytes."""
    names = dict.fromkeys(part.component.name for part in exported)
    content = {
        "format": FORMAT,
        "name": source.name,
        "family": "sd1",
        "license": source.license,
        "latent": {
            "channels": source.vae.config.latent_channels,
            "factor": 8,
            "scale": source.vae.config.scaling_factor,
        },
        "sampling": asdict(source.sampling),
        "image": _native_size(source),
        "text": _text(source),
        "tokenizer": {
            "vocab": "tokenizer/vocab.json",
            "merges": "tokenizer/merges.txt",
            "lowercase": source.tokenizer.lowercase,
        },
        "components": {name: _component([part for part in exported if part.component.name == name]) for name in names},
        "files": _files(bundle),
        "tools": {"python": platform.python_version(), **{tool: version(tool) for tool in _TOOLS}},
    }
    (bundle / FILE_NAME).write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _native_size(source: Source) -> dict[str, int]:
    size = source.unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    return {"width": width * 8, "height": height * 8}


def _text(source: Source) -> Mapping[str, int | str]:
    config, tokenizer = source.text_encoder.config, source.tokenizer
    return {
        "length": config.max_position_embeddings,
        "hidden": config.hidden_size,
        "layers": config.num_hidden_layers,
        "vocab": config.vocab_size,
        "bos": tokenizer.bos,
        "eos": tokenizer.eos,
        "pad": tokenizer.pad,
        "token_embedding": TOKEN_TABLE,
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

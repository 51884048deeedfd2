"""The manifest `onnxflow.json` of a bundle: what its graphs expect, and the size and SHA-256 of every file."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from onnxflow.export.source import Facts, TextFacts
from onnxflow.export.steps import Step
from onnxflow.export.work_folder import Done, sha256
from onnxflow.models.manifest import FORMAT, OWN

LARGEST_ERROR = 1e9  # instead of infinity, which JSON has not
DISTRIBUTIONS = {"onnxflow": "onnxflow-core"}  # of the tools whose name is not their distribution's
TOOLS = ("onnxflow", "torch", "diffusers", "transformers", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class Exported:
    """One graph as it lies in the bundle, with what was measured of it."""

    step: Step
    done: Done

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(size for size, _ in self.done.files.values())

    @property
    def right(self) -> bool:
        """Whether its error is within what its precision may have; NaN is not."""
        return self.done.error <= self.step.allowed


def tool_version(tool: str) -> str:
    """The version of one of TOOLS that is installed."""
    return version(DISTRIBUTIONS.get(tool, tool))


def token_table(part: str) -> str:
    """Where a text encoder's token table lies in the bundle."""
    return f"{part}/token_embedding.npy"


def tokenizer_folder(part: str) -> str:
    """Where a text encoder's tokenizer lies in the bundle, as in Diffusers' folders."""
    return part.replace("text_encoder", "tokenizer")


def write_manifest(
    path: Path,
    bundle: Path,
    facts: Facts,
    exported: Sequence[Exported],
    source: str,
    *,
    interface: str = OWN,
    tools: Sequence[str] = TOOLS,
    direct: bool = False,
) -> None:
    """Write to `path`, which lies outside, the manifest of a folder that is otherwise complete; `source` is the SHA-256
    of what it was made of, `interface` whose names the graphs' inputs and outputs have, `tools` what made them. Of
    `direct` graphs the runtime may use the weights where they lie.

    The same folder gives the same bytes, but for what was measured: "seconds", and "verdict" where it says that a graph
    is slower than fp32.
    """
    names = dict.fromkeys(one.step.component for one in exported)
    content = {
        "format": FORMAT,
        "name": facts.name,
        "family": facts.family,
        "license": facts.license,
        "latent": {"channels": facts.latent_channels, "factor": 8, "scale": facts.latent_scale},
        "sampling": asdict(facts.sampling),
        "image": {"width": facts.width, "height": facts.height},
        "text": {text.component: _text(text, interface) for text in facts.texts},
        "source": source,
        "components": {
            name: _component([one for one in exported if one.step.component == name], interface, direct)
            for name in names
        },
        "files": _files(bundle),
        "tools": {"python": platform.python_version(), **{tool: tool_version(tool) for tool in tools}},
    }
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _text(text: TextFacts, interface: str) -> Mapping[str, object]:
    folder, tokenizer = tokenizer_folder(text.component), text.tokenizer
    table = {"token_embedding": token_table(text.component)} if interface == OWN else {}
    return {
        **table,
        "length": text.length,
        "hidden": text.hidden,
        "layers": text.layers,
        "skipped": text.skipped,
        "vocab": text.vocabulary,
        "bos": tokenizer.bos,
        "eos": tokenizer.eos,
        "pad": tokenizer.pad,
        "tokenizer": {
            "vocab": f"{folder}/vocab.json",
            "merges": f"{folder}/merges.txt",
            "lowercase": tokenizer.lowercase,
        },
    }


def _component(graphs: list[Exported], interface: str, direct: bool) -> dict[str, object]:
    """One component in all its precisions, fp32 first."""
    fastest = min(one.done.seconds for one in graphs if one.step.precision == "fp32") if _has_fp32(graphs) else None
    others = {} if interface == OWN else {"interface": interface}
    in_place = {"direct": True} if direct else {}
    return {
        **others,
        "variants": {one.step.precision: {**_variant(one, fastest), **in_place} for one in graphs},
        "inputs": graphs[0].done.inputs,
        "outputs": graphs[0].done.outputs,
    }


def _has_fp32(graphs: list[Exported]) -> bool:
    return any(one.step.precision == "fp32" for one in graphs)


def _variant(one: Exported, fp32_seconds: float | None) -> dict[str, object]:
    return {
        "file": one.step.file,
        "storage": one.step.storage,
        "size": one.size,
        "relative_error": float(f"{min(one.done.error, LARGEST_ERROR):.2g}"),
        "allowed_error": one.step.allowed,
        "seconds": float(f"{one.done.seconds:.3g}"),
        "verdict": verdict(one, fp32_seconds),
    }


def verdict(one: Exported, fp32_seconds: float | None) -> str:
    """What is to be said of a graph: that it differs too much, or is slower than fp32 where it was made; else ok."""
    if not one.right:
        return "differs from torch by more than its precision may"
    if fp32_seconds is not None and one.done.seconds > 1.1 * fp32_seconds and one.step.precision != "fp32":
        return "slower than fp32 on this CPU"
    return "ok"


def _files(bundle: Path) -> dict[str, dict[str, object]]:
    found = {}
    for path in sorted(bundle.rglob("*")):
        if path.is_file():
            name = path.relative_to(bundle).as_posix()
            found[name] = {"size": path.stat().st_size, "sha256": sha256(path)}
    return found

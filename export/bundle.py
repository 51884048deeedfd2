"""A model to an ONNX bundle: the whole bundle appears at once, or nothing does."""

import gc
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from onnxflow.errors import ModelError, OutputError, UsageError
from onnxflow.export import components
from onnxflow.export.components import Component, text_model
from onnxflow.export.int8 import save_quantized
from onnxflow.export.manifest import FILE_NAME, Exported, token_table, tokenizer_folder, write_manifest
from onnxflow.export.open_source import open_source
from onnxflow.export.parity import max_relative_error
from onnxflow.export.source import TEXT_PARTS, UNET, VAE, Facts, Source, parts
from onnxflow.export.tokenizer import Tokenizer
from onnxflow.export.trace import WEIGHTS_FILE, write_graph

Storage = Literal["fp32", "fp16"]
PRECISIONS = ("fp32", "int8")
LARGEST_ERROR = {"fp32": 1e-4, "int8": 1e-1}  # relative, against torch on the same weights
QUANTIZED = (*TEXT_PARTS, UNET)  # decoding in int8 would save little, and shows


def export_bundle(
    source: Path,
    bundle: Path,
    *,
    precisions: Sequence[str] = ("fp32",),
    storage: str = "fp32",
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Export the model in `source`, a Diffusers folder or a checkpoint in one file, to the folder `bundle`, replacing
    an older bundle there.

    Storage "fp16" halves the size; the graphs compute in fp32 all the same. Precision "int8" adds a second graph of the
    text encoders and of the UNet with int8 weights; "fp32" is always there. One network is in memory at a time.
    UsageError for an unknown precision or storage, ModelError for a source that is no such model or an export that
    differs from torch, OutputError if `bundle` cannot be written.
    """
    unknown = [precision for precision in precisions if precision not in PRECISIONS]
    if unknown:
        raise UsageError(f"unknown precision {unknown[0]!r}", hint="this version exports fp32 and int8")
    if storage not in ("fp32", "fp16"):
        raise UsageError(f"unknown storage {storage!r}", hint="choose fp32 or fp16")
    _check_target(source, bundle)
    report(f"reading {source}")
    model = open_source(source)
    facts = model.facts
    report(f"{facts.name}: {facts.family}, predicts {facts.sampling.prediction}")
    temporary = bundle.with_name(f".{bundle.name}.{os.getpid()}.part")
    try:
        temporary.mkdir(parents=True)
        _write_bundle(model, facts, temporary, "int8" in precisions, "fp16" if storage == "fp16" else "fp32", report)
        _replace(temporary, bundle)
    except OSError as error:
        raise OutputError(f"cannot write the bundle: {error.strerror or error}", where=str(bundle)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    report(f"wrote {bundle}")


def _check_target(source: Path, bundle: Path) -> None:
    if bundle.resolve() == source.resolve() or source.resolve() in bundle.resolve().parents:
        raise UsageError(
            "the bundle would be written into the model itself", where=str(bundle), hint="choose another folder"
        )
    if bundle.exists() and not (bundle / FILE_NAME).is_file() and (not bundle.is_dir() or any(bundle.iterdir())):
        raise OutputError(
            "there is something else in the bundle's place", where=str(bundle), hint="choose an empty or new folder"
        )


def _write_bundle(
    model: Source, facts: Facts, folder: Path, int8: bool, storage: Storage, report: Callable[[str], None]
) -> None:
    exported = []
    for part in parts(facts):
        network = model.network(part)
        for component in _components(part, network, facts):
            if int8 and component.name in QUANTIZED:  # of the weights as they are, before they are rounded for storage
                exported.append(_write_int8(component, folder, report))
            if storage == "fp16":
                _round_to_half(component)
            file = f"{component.name}/model.onnx"
            write_graph(component, folder / file, storage)
            exported.append(_measured(component, "fp32", storage, folder, file, report))
        if part in TEXT_PARTS:
            table = text_model(network).embeddings.token_embedding.weight.detach().numpy()  # type: ignore[arg-type]
            np.save(folder / token_table(part), table.astype(np.float16 if storage == "fp16" else np.float32))
        del network, component
        gc.collect()  # the next network may need all the memory that this one had
    for text in facts.texts:
        _write_tokenizer(folder / tokenizer_folder(text.component), text.tokenizer)
    write_manifest(folder, facts, exported)


def _write_int8(component: Component, folder: Path, report: Callable[[str], None]) -> Exported:
    whole, file = folder / component.name / "whole.onnx", f"{component.name}/model.int8.onnx"
    write_graph(component, whole, "fp32")
    save_quantized(whole, folder / file)
    whole.unlink()
    (whole.parent / WEIGHTS_FILE).unlink(missing_ok=True)
    return _measured(component, "int8", "int8", folder, file, report)


def _measured(
    component: Component, precision: str, storage: str, folder: Path, file: str, report: Callable[[str], None]
) -> Exported:
    """The component as written, compared with torch; ModelError when it differs by more than its precision may."""
    error = max_relative_error(component, folder / file)
    size = (folder / file).stat().st_size / 1e6
    report(f"{component.name}, {precision}: {size:.1f} MB, at most {error:.1e} from torch")
    if not error <= LARGEST_ERROR[precision]:
        raise ModelError(
            f"the exported {component.name} differs from torch by {error:.1e}, {precision} may by "
            f"{LARGEST_ERROR[precision]:.0e}",
            hint="this is a defect of the export: please report it with the model's name",
        )
    return Exported(component, precision, storage, file, error)


def _components(part: str, network: nn.Module, facts: Facts) -> Iterator[Component]:
    """The graphs that are made of a network."""
    if part == UNET:
        pooled = facts.texts[-1].projection if facts.family.startswith("sdxl") else None
        yield components.unet(network, pooled)  # type: ignore[arg-type]
    elif part == VAE:
        yield components.vae_encoder(network)  # type: ignore[arg-type]
        yield components.vae_decoder(network)  # type: ignore[arg-type]
    else:
        yield components.text_encoder(network, part)  # type: ignore[arg-type]


@torch.no_grad()
def _round_to_half(component: Component) -> None:
    """Make the module hold what the file will hold: then the comparison with torch is about the graph, not about
    rounding."""
    for name, value in component.module.named_parameters():
        rounded = value.half().float()
        if not torch.isfinite(rounded).all():
            raise ModelError(
                f"{component.name}: {name.removeprefix('network.')} has values beyond half precision's 65504",
                hint="export with storage fp32",
            )
        value.copy_(rounded)


def _write_tokenizer(folder: Path, tokenizer: Tokenizer) -> None:
    folder.mkdir()
    vocabulary = json.dumps(tokenizer.vocabulary, ensure_ascii=False, separators=(",", ":"))
    (folder / "vocab.json").write_text(vocabulary + "\n", encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *tokenizer.merges]) + "\n", encoding="utf-8")


def _replace(temporary: Path, bundle: Path) -> None:
    """Put the finished folder in its place; an older bundle is moved away first and removed last."""
    old = bundle.with_name(f".{bundle.name}.{os.getpid()}.old")
    if bundle.exists():
        bundle.rename(old)
    try:
        temporary.rename(bundle)
    except OSError:
        if old.exists():
            old.rename(bundle)
        raise
    shutil.rmtree(old, ignore_errors=True)

"""A model to an ONNX bundle: the whole bundle appears at once, or nothing does."""

import gc
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from onnxflow.errors import ModelError, OnnxflowError, OutputError
from onnxflow.export import components
from onnxflow.export.components import Component, text_model
from onnxflow.export.half import in_half
from onnxflow.export.int8 import write_quantized
from onnxflow.export.manifest import FORMAT, TOOLS, Exported, token_table, tokenizer_folder, write_manifest
from onnxflow.export.open_source import open_source
from onnxflow.export.parity import compare, reference_of
from onnxflow.export.source import TEXT_PARTS, UNET, VAE, Facts, Source, digest_of, parts
from onnxflow.export.steps import ALLOWED, Step, check_options, plan
from onnxflow.export.target import check_target, recover, replace
from onnxflow.export.tokenizer import write_tokenizer
from onnxflow.export.trace import write_graph
from onnxflow.export.work_folder import WorkFolder
from onnxflow.models.reference import Reference, read_reference, reference_file

Report = Callable[[str], None]


def export_bundle(
    source: Path,
    bundle: Path,
    *,
    precisions: Sequence[str] = ("fp32",),
    storage: str = "fp32",
    resume: bool = False,
    force: bool = False,
    report: Report = lambda line: None,
) -> list[Exported]:
    """Export the model in `source`, a Diffusers folder or a checkpoint in one file, to the folder `bundle`, replacing
    an older bundle there; what was made, with its errors, is returned.

    Storage "fp16" halves the size of fp32 graphs, which compute in fp32 all the same. One network is in memory at a
    time. A killed export leaves a hidden folder beside `bundle`, from which `resume` goes on. With `force` graphs that
    differ from torch by more than their precision may are written all the same.

    UsageError for options that make no sense, ModelError for a source that is no such model or an export that differs
    from torch, OutputError if `bundle` cannot be written; nothing is left then.
    """
    check_options(precisions, storage)
    recover(bundle)
    check_target(source, bundle)
    report(f"reading {source}")
    model = open_source(source)
    facts = model.facts
    steps = plan(parts(facts), facts.family, precisions, storage)
    report(f"{facts.name}: {facts.family}, predicts {facts.sampling.prediction}; {len(steps)} graphs")
    digest = digest_of(model)
    key = {
        "source": digest, "precisions": sorted(set(precisions)), "storage": storage, "force": force, "format": FORMAT,
        "tools": {tool: version(tool) for tool in TOOLS},
    }  # fmt: skip
    try:
        work = WorkFolder(bundle, key, resume=resume, report=report)
        try:
            exported = _write_graphs(model, facts, steps, work, storage, force, report)
            for text in facts.texts:
                write_tokenizer(work.files / tokenizer_folder(text.component), text.tokenizer)
            write_manifest(work.files, facts, exported, digest)
            replace(work.files, bundle)
        except (OnnxflowError, OSError):
            work.remove()
            raise
        work.remove()
    except OSError as error:
        raise OutputError(f"cannot write the bundle: {error.strerror or error}", where=str(bundle)) from error
    report(f"wrote {bundle}")
    return exported


def _write_graphs(
    model: Source, facts: Facts, steps: Sequence[Step], work: WorkFolder, storage: str, force: bool, report: Report
) -> list[Exported]:
    for part in parts(facts):
        todo = [step for step in steps if step.part == part]
        if any(work.done(step.name) is None for step in todo):
            _write_part(part, model.network(part), facts, todo, work, storage, force, report)
            gc.collect()  # the next network may need all the memory that this one had
    return [Exported(step, done) for step in steps if (done := work.done(step.name)) is not None]


def _write_part(
    part: str,
    network: nn.Module,
    facts: Facts,
    todo: Sequence[Step],
    work: WorkFolder,
    storage: str,
    force: bool,
    report: Report,
) -> None:
    made = {component.name: component for component in _components(part, network, facts)}
    references = {name: _reference(component, work) for name, component in made.items()}  # before anything is rounded
    if part in TEXT_PARTS and work.done(f"{part}, tokens") is None:
        table = text_model(network).embeddings.token_embedding.weight.detach().numpy()  # type: ignore[arg-type]
        np.save(work.files / token_table(part), table.astype(np.float16 if storage == "fp16" else np.float32))
        work.finish(f"{part}, tokens", [token_table(part)])
    for step in todo:
        if work.done(step.name) is None:
            _write_step(step, made[step.component], references[step.component], work, force, report)


def _reference(component: Component, work: WorkFolder) -> Reference:
    """What torch gives with the weights as they are in the source."""
    name, step = reference_file(component.name), f"{component.name}, reference"
    path = work.files / name
    if work.done(step) is None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(reference_of(component).encode())
        (work.files / component.name).mkdir(exist_ok=True)
        work.finish(step, [name])
    return read_reference(path)


def _write_step(
    step: Step, component: Component, reference: Reference, work: WorkFolder, force: bool, report: Report
) -> None:
    path = work.files / step.file
    files = write_component(step, component, path)
    error, seconds = compare(path, reference, component, step.precision)
    if step.precision == "fp32" and step.storage == "fp16":  # but for the rounding, the graph must be fp32's
        _round_to_half(component)
        graph_error, _ = compare(path, reference_of(component), component, step.precision)
        error = error if graph_error <= ALLOWED["fp32"] else float("inf")
    size = sum(file.stat().st_size for file in files) / 1e6
    report(f"{step.name}: {size:.1f} MB, {error:.1e} from torch, {seconds:.2f} s a call at 256 x 256")
    if not error <= step.allowed and not force:
        raise ModelError(
            f"the exported {step.component} differs from torch by {error:.1e}, {step.precision} may by "
            f"{step.allowed:.0e}",
            hint="write it all the same with --force, and compare pictures; please report it with the model's name",
        )
    names = [file.relative_to(work.files).as_posix() for file in files]
    inputs, outputs = ({n: list(d) for n, d in dims.items()} for dims in (component.inputs, component.outputs))
    work.finish(step.name, names, error=error, seconds=seconds, inputs=inputs, outputs=outputs)


def write_component(step: Step, component: Component, path: Path) -> list[Path]:
    """Write a component's graph in the precision of a step, and return its files; "fp16" rounds the network in place.

    ModelError for a weight that half precision cannot hold.
    """
    if step.precision == "int8":
        return write_quantized(component, path)
    if step.precision == "fp16":
        return write_graph(in_half(component), path, "native")
    if step.storage == "fp16":
        _check_half(component)
    return write_graph(component, path, "fp16" if step.storage == "fp16" else "fp32")


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


def _check_half(component: Component) -> None:
    """ModelError for a weight that half precision cannot hold."""
    for name, value in component.module.named_parameters():
        if not torch.isfinite(value.half()).all():
            raise ModelError(
                f"{component.name}: {name.removeprefix('network.')} has values beyond half precision's 65504",
                hint="export with storage fp32",
            )


@torch.no_grad()
def _round_to_half(component: Component) -> None:
    """Make the network hold what the file holds; of a part, the graphs that need it unrounded are made before."""
    for value in component.module.parameters():
        value.copy_(value.half().float())

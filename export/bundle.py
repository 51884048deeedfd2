"""A model to an ONNX bundle: the whole bundle appears at once, or nothing does."""

import gc
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from onnxflow.errors import ModelError
from onnxflow.export.calibration import PROMPTS, check_prompts, read_calibration
from onnxflow.export.components import Component, components_of, text_model
from onnxflow.export.denoising import calibrate_denoiser
from onnxflow.export.dynamic_int8 import write_quantized
from onnxflow.export.estimate import Estimate, estimate
from onnxflow.export.half import check_half, in_half, round_to_half
from onnxflow.export.lock import alone
from onnxflow.export.making import making, tell_older
from onnxflow.export.manifest import TOOLS, Exported, token_table, tokenizer_folder, tool_version, write_manifest
from onnxflow.export.open_source import open_source
from onnxflow.export.parity import compare, reference_of
from onnxflow.export.progress import Progress, Say, Show
from onnxflow.export.replacement import recover
from onnxflow.export.room import bytes_below, check_room
from onnxflow.export.source import TEXT_PARTS, UNET, Facts, Source, digest_of, parts
from onnxflow.export.static_int8 import write_static
from onnxflow.export.steps import ALLOWED, STATIC, Step, check_options, plan
from onnxflow.export.target import check_target
from onnxflow.export.tokenizer import write_tokenizer
from onnxflow.export.trace import write_graph
from onnxflow.export.work_folder import Done, WorkFolder, part_folder
from onnxflow.models.manifest import FORMAT
from onnxflow.models.reference import read_reference, reference_file

CALIBRATION = "calibration.json"
CALIBRATED = f"{UNET}, calibration"  # in the journal


def export_bundle(
    source: Path,
    bundle: Path,
    *,
    precisions: Sequence[str] = ("fp32",),
    storage: str = "fp32",
    prompts: Sequence[str] = (),
    resume: bool = False,
    force: bool = False,
    report: Say = lambda line: None,
    progress: Show = lambda moment: None,
) -> list[Exported]:
    """Export the model in `source`, a Diffusers folder or a checkpoint in one file, to the folder `bundle`, replacing
    an older bundle there; what was made, with its errors, is returned.

    Storage "fp16" halves the size of fp32 graphs, which compute in fp32 all the same. One network is in memory at a
    time, and none while its graphs are checked. A killed export leaves a hidden folder beside `bundle`, from which
    `resume` goes on. With `force` graphs that differ from torch by more than their precision may are written all the
    same, and short memory is no reason not to begin. `prompts` are drawn to calibrate "int8-static", our own when none
    are given. `report` is told what is worth reading, `progress` how far it is.

    UsageError for options that make no sense, ModelError for a source that is no such model or an export that differs
    from torch, OutputError if `bundle` cannot be written; nothing is left then. OutputError or MemoryLimitError, before
    anything is written or removed, when there is no room for it; MemoryLimitError when memory ends on the way, which
    `resume` goes on from.
    """
    check_options(precisions, storage, prompts)
    check_prompts(prompts)
    if STATIC in precisions and not prompts:
        prompts = PROMPTS
    bundle = check_target(source, bundle)
    with alone(bundle):
        return _export(source, bundle, precisions, storage, prompts, resume, force, Progress(report, progress))


def _export(
    source: Path,
    bundle: Path,
    precisions: Sequence[str],
    storage: str,
    prompts: Sequence[str],
    resume: bool,
    force: bool,
    told: Progress,
) -> list[Exported]:
    recover(bundle)
    told(f"reading {source}")
    tell_older(bundle, told)
    told.begin("reading what it is")
    model = open_source(source)
    facts = model.facts
    steps = plan(parts(facts), facts.family, precisions, storage)
    told(f"{facts.name}: {facts.family}, predicts {facts.sampling.prediction}; {len(steps)} graphs")
    needs = estimate({part: model.shapes(part) for part in parts(facts)}, steps, storage, len(prompts))
    check_room(needs, bundle, bytes_below(part_folder(bundle)), force=force, report=told)
    told.begin("hashing the source")
    digest = digest_of(model)
    key = {
        "source": digest, "precisions": sorted(set(precisions)), "storage": storage, "format": FORMAT,
        "prompts": list(prompts),
        "tools": {tool: tool_version(tool) for tool in TOOLS},
    }  # fmt: skip
    with making(bundle, key, resume=resume, told=told) as work:
        told.start(needs.work, _done_before(needs, steps, work))
        exported = _write_graphs(model, facts, steps, needs, work, storage, prompts, force, told)
        told.begin("hashing the bundle")
        for text in facts.texts:
            write_tokenizer(work.files / tokenizer_folder(text.component), text.tokenizer)
        write_manifest(work.manifest, work.files, facts, exported, digest)
    return exported


def _written(step: Step) -> str:
    """The journal's name for a graph that is written and not yet checked."""
    return f"{step.name}, written"


def _done_before(needs: Estimate, steps: Sequence[Step], work: WorkFolder) -> float:
    """Seconds of work that an earlier start has done."""
    written = [step for step in steps if work.done(_written(step)) is not None]
    unread = {step.part for step in steps} - {step.part for step in steps if step not in written}
    return (
        sum(needs.reading[part] for part in unread)
        + sum(needs.writing[step.name] for step in written)
        + sum(needs.checking[step.name] for step in steps if work.done(step.name) is not None)
        + (needs.calibrating if work.done(CALIBRATED) is not None else 0.0)
    )


def _write_graphs(
    model: Source,
    facts: Facts,
    steps: Sequence[Step],
    needs: Estimate,
    work: WorkFolder,
    storage: str,
    prompts: Sequence[str],
    force: bool,
    report: Progress,
) -> list[Exported]:
    """Make and check the graphs, part by part: the network is gone before ONNX Runtime needs as much memory again."""
    for part in parts(facts):
        todo = [step for step in steps if step.part == part]
        if any(step.precision == STATIC for step in todo) and work.done(CALIBRATED) is None:
            _calibrate(model, work, prompts, needs.calibrating, report)
        if any(work.done(_written(step)) is None for step in todo):
            report.begin(f"reading {part}", needs.reading[part])
            _write_part(part, model.network(part), facts, todo, needs.writing, work, storage, report)
            gc.collect()
        for step in todo:
            if (done := work.done(step.name)) is None:
                report.begin(f"checking {step.name}", needs.checking[step.name])
                done = _measure(step, work, report)
            _check(step, done, force)
            work.keep(done)
    return [Exported(step, done) for step in steps if (done := work.done(step.name)) is not None]


def _calibrate(model: Source, work: WorkFolder, prompts: Sequence[str], seconds: float, report: Progress) -> None:
    """Write the ranges of the denoiser's layers beside where its graphs will be."""
    report.begin("calibrating")
    found = calibrate_denoiser(model, prompts, report, seconds)
    name = f"{UNET}/{CALIBRATION}"
    (work.files / UNET).mkdir(exist_ok=True)
    (work.files / name).write_text(found.encode(prompts=list(prompts)), encoding="utf-8")
    work.finish(CALIBRATED, [name])
    gc.collect()


def _write_part(
    part: str,
    network: nn.Module,
    facts: Facts,
    todo: Sequence[Step],
    seconds: Mapping[str, float],
    work: WorkFolder,
    storage: str,
    report: Progress,
) -> None:
    made = {component.name: component for component in components_of(part, network, facts)}
    for component in made.values():  # before anything is rounded
        _write_reference(component, work)
    if part in TEXT_PARTS and work.done(f"{part}, tokens") is None:
        table = text_model(network).embeddings.token_embedding.weight.detach().numpy()  # type: ignore[arg-type]
        _write_table(work.files / token_table(part), table.astype(np.float16 if storage == "fp16" else np.float32))
        work.finish(f"{part}, tokens", [token_table(part)])
    for step in todo:
        if work.done(_written(step)) is None:
            report.begin(f"writing {step.name}", seconds[step.name])
            _write_step(step, made[step.component], work)


def _write_table(path: Path, table: NDArray[np.generic]) -> None:
    """As numpy.save does, whose error for a full disk does not say so."""
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(table))
        file.write(np.ascontiguousarray(table).data)


def _write_reference(component: Component, work: WorkFolder) -> None:
    """Write what torch gives with the weights as they are in the source."""
    name, step = reference_file(component.name), f"{component.name}, reference"
    if work.done(step) is None:
        path = work.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(reference_of(component).encode())
        work.finish(step, [name])


def _write_step(step: Step, component: Component, work: WorkFolder) -> None:
    files = write_component(step, component, work.files / step.file)
    if _is_rounded(step):
        round_to_half(component)
        _rounded_reference(step, work).write_bytes(reference_of(component).encode())
    names = [file.relative_to(work.files).as_posix() for file in files]
    inputs, outputs = ({n: list(d) for n, d in dims.items()} for dims in (component.inputs, component.outputs))
    work.finish(_written(step), names, inputs=inputs, outputs=outputs)


def _is_rounded(step: Step) -> bool:
    """Whether a graph computes in fp32 with weights that are stored in fp16."""
    return step.precision == "fp32" and step.storage == "fp16"


def _rounded_reference(step: Step, work: WorkFolder) -> Path:
    """Where it lies until the check what torch gives with rounded weights; no part of the bundle."""
    return work.root / f"{step.component}.rounded.safetensors"


def _measure(step: Step, work: WorkFolder, report: Progress) -> Done:
    """What is known of a written graph, and its error and seconds."""
    made, path = work.done(_written(step)), work.files / step.file
    assert made is not None, "a graph is checked after it was written"
    reference = read_reference(work.files / reference_file(step.component))
    error, seconds = compare(path, reference, made.inputs, step)
    if _is_rounded(step):  # but for the rounding, the graph must be fp32's
        graph_error, _ = compare(path, read_reference(_rounded_reference(step, work)), made.inputs, step)
        error = error if graph_error <= ALLOWED["fp32"] else float("inf")
    done = replace(made, step=step.name, error=error, seconds=seconds)
    size = sum(bytes_ for bytes_, _ in done.files.values()) / 1e6
    report(f"{step.name}: {size:.1f} MB, {error:.1e} from torch, {seconds:.2f} s a call at 256 x 256")
    return done


def _check(step: Step, done: Done, force: bool) -> None:
    """ModelError for a graph that differs from torch by more than it may, also for one that an earlier start made."""
    if not done.error <= step.allowed and not force:
        raise ModelError(
            f"the exported {step.component} differs from torch by {done.error:.1e}, {step.precision} may by "
            f"{step.allowed:.0e}",
            hint="write it all the same with --force, and compare pictures; please report it with the model's name",
        )


def write_component(step: Step, component: Component, path: Path) -> list[Path]:
    """Write a component's graph in the precision of a step, and return its files; "fp16" rounds the network in place,
    "int8-static" reads the calibration beside the graph.

    ModelError for a weight that half precision cannot hold.
    """
    if step.precision == "int8":
        return write_quantized(component, path)
    if step.precision == STATIC:
        return write_static(component, read_calibration(path.with_name(CALIBRATION)), path)
    if step.precision == "fp16":
        check_half(component)
        return write_graph(in_half(component), path, "native")
    if step.storage == "fp16":
        check_half(component)
    return write_graph(component, path, "fp16" if step.storage == "fp16" else "fp32")

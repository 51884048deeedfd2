"""A Diffusers folder to a bundle whose graphs Hugging Face Optimum makes: the runtime translates their names.

What PyTorch gives is stored beside them as for our own graphs, so that `onnxflow verify` can ask them again.
"""

import dataclasses
import errno
import gc
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from onnxflow.errors import MemoryLimitError, ModelError, OutputError, UsageError
from onnxflow.export.components import Component
from onnxflow.export.diffusers_folder import DiffusersFolder
from onnxflow.export.lock import alone
from onnxflow.export.manifest import TOOLS, Exported, tokenizer_folder, write_manifest
from onnxflow.export.optimum_components import components
from onnxflow.export.parity import compare, reference_of
from onnxflow.export.replacement import put_in_place, recover
from onnxflow.export.room import is_out_of_memory
from onnxflow.export.source import Facts, digest_of, parts
from onnxflow.export.steps import ALLOWED, Step
from onnxflow.export.target import check_target
from onnxflow.export.tokenizer import write_tokenizer
from onnxflow.export.work_folder import WorkFolder
from onnxflow.models.foreign import GRAPH, read_foreign
from onnxflow.models.manifest import FILE_NAME, OPTIMUM, Manifest
from onnxflow.models.reference import read_reference, reference_file

TASK = "text-to-image"
Report = Callable[[str], None]


def check_options(precisions: Sequence[str], storage: str, prompts: Path | None, *, resume: bool) -> None:
    """UsageError for what this engine does not do."""
    ours = "use --engine torch, which does"
    if list(dict.fromkeys(precisions)) != ["fp32"]:
        raise UsageError(f"--engine optimum exports fp32 only, not {', '.join(precisions) or 'nothing'}", hint=ours)
    if storage != "fp32":
        raise UsageError(f"--engine optimum stores weights in fp32 only, not {storage!r}", hint=ours)
    if prompts is not None:
        raise UsageError("--engine optimum calibrates nothing and takes no --prompts", hint=ours)
    if resume:
        raise UsageError("--engine optimum makes all graphs in one go and cannot --resume", hint="start anew without")


def export_with_optimum(
    source: Path, bundle: Path, *, force: bool = False, report: Report = lambda line: None
) -> list[Exported]:
    """Export the Diffusers folder `source` with Optimum to the folder `bundle`, in fp32, replacing an older bundle
    there; what was made, with its errors relative to PyTorch, is returned. Nothing is downloaded.

    With `force` graphs that differ too much are written all the same. ModelError for a source that is no such model, an
    export that fails or differs from torch; OutputError if `bundle` cannot be written; nothing is left then.
    """
    bundle = check_target(source, bundle)
    with alone(bundle):
        return _export(source, bundle, force, report)


def _export(source: Path, bundle: Path, force: bool, report: Report) -> list[Exported]:
    recover(bundle)
    if not source.is_dir():
        raise ModelError(
            "Optimum exports Diffusers folders only, this is none",
            where=str(source),
            hint="a checkpoint in one file is exported with --engine torch",
        )
    report(f"reading {source}")
    model = DiffusersFolder(source)
    facts = model.facts
    try:
        work = WorkFolder(bundle, {}, resume=False, report=report)
        try:
            asked = _write_references(model, facts, work)
            made = work.root / "made"
            report(f"{facts.name}: {facts.family}, predicts {facts.sampling.prediction}; Optimum makes its graphs")
            _run_optimum(source, made)
            described = read_foreign(made)
            exported = [_take(part, one, made, described, work, force, report) for part, one in asked]
            for text in facts.texts:
                write_tokenizer(work.files / tokenizer_folder(text.component), text.tokenizer)
            tools = (*TOOLS, "optimum", "optimum-onnx")
            digest = digest_of(model)
            write_manifest(work.manifest, work.files, facts, exported, digest, interface=OPTIMUM, tools=tools)
            work.manifest.rename(work.files / FILE_NAME)
            put_in_place(work.files, bundle)
        finally:
            work.remove()
    except OSError as error:
        raise OutputError(f"cannot write the bundle: {error.strerror or error}", where=str(bundle)) from error
    report(f"wrote {bundle}")
    return exported


def _write_references(model: DiffusersFolder, facts: Facts, work: WorkFolder) -> list[tuple[str, Component]]:
    """Store what PyTorch gives, one network in memory at a time; the components, without their networks, by part."""
    found = []
    for part in parts(facts):
        for component in components(part, _network(model, part), facts):
            path = work.files / reference_file(component.name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(reference_of(component).encode())
            found.append((part, dataclasses.replace(component, module=nn.Identity())))
        gc.collect()
    return found


def _network(model: DiffusersFolder, part: str) -> nn.Module:
    """A network with all its weights: Optimum itself would take random numbers for those that it does not find."""
    try:
        return model.network(part)
    except ModelError as error:
        error.hint = (
            f"{error.hint}; a folder that Transformers 5 saved has names that Optimum's Transformers does not know: "
            "export it with --engine torch"
        )
        raise


def _run_optimum(source: Path, made: Path) -> None:
    """All graphs of a folder, in `made`; ModelError with what Optimum says."""
    from optimum.exporters.onnx import main_export

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the tracer warns about Python control flow that is constant for a model
            main_export(
                str(source), str(made), task=TASK, library_name="diffusers", local_files_only=True, do_validation=False
            )
    except Exception as error:  # whatever its own libraries raise
        if is_out_of_memory(error):
            raise MemoryLimitError(
                "there was not enough memory left for Optimum",
                where=str(source),
                hint="close other programs, add swap, or use --engine torch, which takes less",
            ) from error
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise ModelError(
            f"Optimum cannot export the model: {reason}", where=str(source), hint="try --engine torch"
        ) from error


def _take(
    part: str, component: Component, made: Path, described: Manifest, work: WorkFolder, force: bool, report: Report
) -> Exported:
    """Move a component's graph into the bundle and compare it with PyTorch; ModelError when it differs too much."""
    folder = work.files / component.name
    folder.mkdir()
    for path in sorted((made / component.name).iterdir()):
        if path.name != "config.json":
            path.rename(folder / path.name)
    step = Step(part, component.name, "fp32", "fp32", f"{component.name}/{GRAPH}", ALLOWED["fp32"])
    reference = read_reference(work.files / reference_file(component.name))
    error, seconds = compare(work.files / step.file, reference, component.inputs, step, OPTIMUM)
    graph = described.components[component.name]
    inputs, outputs = ({n: list(dims) for n, dims in shapes.items()} for shapes in (graph.inputs, graph.outputs))
    names = [path.relative_to(work.files).as_posix() for path in sorted(folder.iterdir())]
    done = work.finish(step.name, names, error=error, seconds=seconds, inputs=inputs, outputs=outputs)
    one = Exported(step, done)
    report(f"{step.name}: {one.size / 1e6:.1f} MB, {error:.1e} from torch, {seconds:.2f} s a call at 256 x 256")
    if not one.right and not force:
        raise ModelError(
            f"the {step.component} that Optimum made differs from torch by {error:.1e}, fp32 may by {step.allowed:.0e}",
            hint="use --engine torch, or write it all the same with --force and compare pictures",
        )
    return one

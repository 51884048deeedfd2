"""A checkpoint to a bundle without PyTorch: the package's templates, and the file's weights in fp32, fp16 or int8.

What comes out is plain ONNX with its weights beside it. Weights are converted one after the other, so memory does not
grow with the model. There is no PyTorch to compare with: `make verify-templates` compares the templates with it, and
here every graph is compared with the checkpoint run in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray

from onnxflow.cancel import CancelToken
from onnxflow.errors import ModelError, OutputError, UsageError
from onnxflow.export.lock import alone
from onnxflow.export.making import making, tell_older
from onnxflow.export.manifest import Exported, token_table, tokenizer_folder, tool_version, write_manifest
from onnxflow.export.one_graph import OneGraph
from onnxflow.export.progress import Progress, Say, Show
from onnxflow.export.replacement import recover
from onnxflow.export.room import bytes_below, free_disk
from onnxflow.export.source import Facts, TextFacts
from onnxflow.export.steps import ALLOWED, Step, plan
from onnxflow.export.target import check_target
from onnxflow.export.tokenizer import clip_tokenizer, write_tokenizer
from onnxflow.export.work_folder import WorkFolder, part_folder, sha256
from onnxflow.memory import size
from onnxflow.models.checkpoint import Checkpoint
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.layout.place import Place
from onnxflow.models.manifest import FORMAT
from onnxflow.models.network import parameters
from onnxflow.models.onnx_file import FLOAT, FLOAT16
from onnxflow.models.quantize import write_weights
from onnxflow.models.reference import Reference, read_reference, reference_file
from onnxflow.models.template import Stored, Template, filled, read_template
from onnxflow.models.weights import Weights
from onnxflow.providers.session import LOW, SessionKey, load_graph

PRECISIONS: Final = ("fp32", "int8")
TORCH_ONLY: Final = ("fp16", "int8-static")
"""Precisions that only the tracing engine makes."""
TOOLS: Final = ("onnxflow", "onnxruntime", "numpy")

_ALIGNED: Final = 64
_BYTES: Final = {"fp32": 4, "fp16": 2, "int8": 1}
_ANSWERED: Final = 1e-5  # a graph in fp32 differs from the checkpoint in place by rounding only
_WORK: Final = 0.01  # seconds for a million weights, to convert and to check


def export_with_templates(
    model: Checkpoint,
    bundle: Path,
    *,
    precisions: Sequence[str] = ("fp32",),
    storage: str = "fp32",
    resume: bool = False,
    force: bool = False,
    report: Say = lambda line: None,
    progress: Show = lambda moment: None,
) -> list[Exported]:
    """Export a checkpoint to the folder `bundle`, replacing an older bundle there; what was made is returned.

    Storage "fp16" halves the size of fp32 graphs. A killed export leaves a hidden folder beside `bundle`, from which
    `resume` goes on. With `force` graphs that differ from the checkpoint by more than their precision may are written
    all the same. UsageError for options that make no sense; ModelError for weights that are damaged, or a graph that
    differs; OutputError if `bundle` cannot be written; nothing is left then.
    """
    unknown = [precision for precision in precisions if precision not in PRECISIONS]
    if unknown or not precisions:
        if unknown and unknown[0] in TORCH_ONLY:
            raise UsageError(
                f"without PyTorch, with --engine template, there is no {unknown[0]}",
                hint=f"it makes {' and '.join(PRECISIONS)}; --engine torch (the extra 'export') makes {unknown[0]}",
            )
        given = f"unknown precision {unknown[0]!r}" if unknown else "no precision is given"
        raise UsageError(given, hint=f"choose {' or '.join(PRECISIONS)}; --precision may be given several times")
    if storage not in ("fp32", "fp16"):
        raise UsageError(f"unknown storage {storage!r}", hint="choose fp32 or fp16")
    bundle = check_target(model.root, bundle)
    with alone(bundle):
        return _export(model, bundle, precisions, storage, resume, force, Progress(report, progress))


def _export(
    model: Checkpoint,
    bundle: Path,
    precisions: Sequence[str],
    storage: str,
    resume: bool,
    force: bool,
    told: Progress,
) -> list[Exported]:
    recover(bundle)
    tell_older(bundle, told)
    facts = facts_of(model)
    steps = plan(_parts(model), facts.family, precisions, storage)
    told(f"{facts.name}: {facts.family}, predicts {facts.sampling.prediction}; {len(steps)} graphs, from templates")
    for line in model.unused:
        told(line)
    _check_disk(model, steps, storage, bundle)
    told.begin("hashing the source")
    digest = sha256(model.root)
    key = {
        "source": digest, "precisions": sorted(set(precisions)), "storage": storage, "format": FORMAT,
        "engine": "template", "tools": {tool: tool_version(tool) for tool in TOOLS},
    }  # fmt: skip
    with making(bundle, key, resume=resume, told=told) as work:
        counts = {step.name: parameters(model.networks[step.component]) * _WORK / 1e6 for step in steps}
        before = sum(counts[step.name] for step in steps if work.done(step.name) is not None)
        told.start(sum(counts.values()), before)
        exported = [_make(model, step, work, counts[step.name], force, told) for step in steps]
        told.begin("writing the tokenizers")
        for text in facts.texts:
            _write_table(model, text, storage, work)
            write_tokenizer(work.files / tokenizer_folder(text.component), text.tokenizer)
        told.begin("hashing the bundle")
        write_manifest(work.manifest, work.files, facts, exported, digest, tools=TOOLS, direct=True)
    return exported


def facts_of(model: Checkpoint) -> Facts:
    """What the manifest will say of a checkpoint."""
    said, unet = model.manifest, model.component("unet")
    channels = unet.inputs["sample"][1]
    assert isinstance(channels, int), "a checkpoint's own input has a known width"
    return Facts(
        name=said.name,
        family=said.family,
        license=said.license,
        width=said.width,
        height=said.height,
        latent_channels=said.latent.channels,
        latent_scale=said.latent.scale,
        in_channels=channels,
        sampling=said.sampling,
        texts=tuple(
            TextFacts(
                component=name,
                tokenizer=clip_tokenizer() if text.pad == text.eos else clip_tokenizer(pad="!"),
                vocabulary=text.vocab,
                length=text.length,
                hidden=text.hidden,
                layers=text.layers,
                projection=None,
                skipped=text.skipped,
            )
            for name, text in said.texts.items()
        ),
    )


def _parts(model: Checkpoint) -> tuple[str, ...]:
    return (*model.manifest.texts, "vae", "unet")


def _check_disk(model: Checkpoint, steps: Sequence[Step], storage: str, bundle: Path) -> None:
    """OutputError when not even the weights find room; what an unfinished export left is used again or removed."""
    graphs = sum(parameters(model.networks[step.component]) * _BYTES[step.storage] for step in steps)
    tables = sum(text.vocab * text.hidden * _BYTES[storage] for text in model.manifest.texts.values())
    free, left = free_disk(bundle), bytes_below(part_folder(bundle))
    if graphs + tables - left > free:
        raise OutputError(
            f"the bundle takes at least {size(graphs + tables)}, the disk has {size(free)} free",
            where=str(bundle),
            hint="free some space, name a folder on another disk, or ask for less: --storage fp16, fewer precisions",
        )


class _Tensors:
    """The file of weights beside a graph, written one after the other."""

    def __init__(self, path: Path) -> None:
        self.stored: dict[str, Stored] = {}
        self._name = path.name
        self._file: BinaryIO = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, name: str, kind: int, values: NDArray[Any]) -> None:
        """Write a weight and note where it lies."""
        self._file.write(b"\0" * (-self._file.tell() % _ALIGNED))
        place = Stored(kind, values.shape, self._name, self._file.tell(), values.nbytes)
        self._file.write(np.ascontiguousarray(values).data)
        self.stored[name] = place


def _make(model: Checkpoint, step: Step, work: WorkFolder, seconds: float, force: bool, told: Progress) -> Exported:
    """One graph: written, compared with the checkpoint in place, and noted; nothing of it when that was done before."""
    told.begin(f"writing {step.name}", seconds)
    done = work.done(step.name)
    if done is None:
        reference = _reference(model, step.component, work)
        graph = work.files / step.file
        graph.parent.mkdir(parents=True, exist_ok=True)
        precision = "int8" if step.precision == "int8" else "fp32"
        network = model.networks[step.component]
        template = read_template(model.templates, network.template, precision)
        kind = FLOAT16 if step.storage == "fp16" else FLOAT
        write_graph(template, network.places, model.weights[step.component], kind, graph)
        error, taken = _compare(graph, reference, step)
        declared = model.component(step.component)
        inputs, outputs = (
            {name: list(dims) for name, dims in each.items()} for each in (declared.inputs, declared.outputs)
        )
        names = [path.relative_to(work.files).as_posix() for path in (graph, graph.with_suffix(".bin"))]
        done = work.finish(step.name, names, error=error, seconds=taken, inputs=inputs, outputs=outputs)
        told(f"{step.name}: {sum(s for s, _ in done.files.values()) / 1e6:.1f} MB, {error:.1e} from the checkpoint")
    allowed = _allowed(step)
    if not done.error <= allowed and not force:
        raise ModelError(
            f"the exported {step.component} differs from the checkpoint by {done.error:.1e}, {step.precision} may by"
            f" {allowed:.0e}",
            hint="write it all the same with --force, and compare pictures; please report it with the model's name",
        )
    return Exported(step, done)


def write_graph(template: Template, places: Mapping[str, Place], weights: Weights, kind: int, path: Path) -> None:
    """Write a template's graph, and beside it as .bin its weights, those that stay floats in TensorProto's ``kind``."""
    with _Tensors(path.with_suffix(".bin")) as tensors:
        write_weights(template, places, weights, kind, tensors.write)
    path.write_bytes(filled(template, {name: tensors.stored[name] for name in template.weights}))


def _allowed(step: Step) -> float:
    return _ANSWERED if step.precision == "fp32" and step.storage == "fp32" else ALLOWED[step.storage]


def _reference(model: Checkpoint, component: str, work: WorkFolder) -> Reference:
    """What the checkpoint answers in place, which is written into the bundle once."""
    name, step = reference_file(component), f"{component}, reference"
    path = work.files / name
    if work.done(step) is None:
        feeds = questions(model, component)
        outputs, _ = _answers(model.graph(component, "fp32"), component, feeds)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Reference(feeds, outputs).encode())
        work.finish(step, [name])
    return read_reference(path)


def questions(model: Checkpoint, component: str) -> dict[str, NDArray[Any]]:
    """Inputs for a component, random but always the same, small, and neither square nor even."""
    random = np.random.default_rng(8)
    sizes = {"batch": 2, "height": 8, "width": 10, "tokens": 77, "image_height": 32, "image_width": 40}
    feeds: dict[str, NDArray[Any]] = {}
    for name, dims in model.component(component).inputs.items():
        shape = [dim if isinstance(dim, int) else sizes.get(dim, 1) for dim in dims]
        values = random.standard_normal(shape, np.float32)
        if name == "timestep":
            values = np.array([10, 700], np.float32)
        elif name == "eos_index":
            values = np.array([5, 76], np.int64)
        elif name == "time_ids":
            values = np.abs(values) * np.float32(512)
        elif name == "image":
            values = np.clip(values, -1, 1)
        elif "residual" in name:
            values = np.zeros((1, 1, 1, 1), np.float32)
        feeds[name] = values
    return feeds


def _compare(graph: Path, reference: Reference, step: Step) -> tuple[float, float]:
    """A graph's error relative to the reference, and the seconds of its second call."""
    outputs, seconds = _answers(GraphFile(graph, direct=True), step.name, reference.inputs, step.precision)
    return reference.error(outputs), seconds


def _answers(
    graph: GraphFile, name: str, feeds: Mapping[str, NDArray[Any]], precision: str = "fp32"
) -> tuple[dict[str, NDArray[Any]], float]:
    session = load_graph(OneGraph(graph), SessionKey("", name, precision, loading=LOW), CancelToken())
    try:
        outputs = session.run(feeds, CancelToken())
        started = perf_counter()
        session.run(feeds, CancelToken())
        return outputs, perf_counter() - started
    finally:
        session.close()


def _write_table(model: Checkpoint, text: TextFacts, storage: str, work: WorkFolder) -> None:
    """The token table, as numpy writes arrays, block by block."""
    name, step = token_table(text.component), f"{text.component}, tokens"
    if work.done(step) is not None:
        return
    tokens = model.networks[text.component].tokens
    assert tokens is not None, "a text encoder has a token table"
    dtype = np.dtype(np.float16 if storage == "fp16" else np.float32)
    path = work.files / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": tokens.shape}
        np.lib.format.write_array_header_1_0(file, header)
        for _, block in model.weights[text.component].blocks(tokens.key):
            file.write(np.ascontiguousarray(block, dtype).data)
    work.finish(step, [name])

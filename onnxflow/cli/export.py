"""``onnxflow export``: a model folder of PyTorch weights becomes an ONNX bundle (needs the extra ``export``,
or ``optimum``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onnxflow.export.manifest import Exported

COMMON = {name: name for name in ("torch", "diffusers", "transformers", "onnx")}
ENGINES = {"torch": COMMON, "optimum": {**COMMON, "optimum.exporters.onnx": "optimum-onnx"}, "template": {}}
"""The modules that each engine needs, and the packages that have them."""
EXTRAS = {"torch": "export", "optimum": "optimum"}


def export(
    source: Annotated[
        Path,
        typer.Argument(
            help="A Diffusers folder (model_index.json, unet/, vae/ ...) or a .safetensors checkpoint of all networks."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="BUNDLE", help="The folder to write.")],
    storage: Annotated[
        str, typer.Option(help="How weights are stored: fp32, or fp16 (half the size, still computed in fp32).")
    ] = "fp32",
    precision: Annotated[
        list[str] | None,
        typer.Option(
            help="What graphs compute in: fp32, fp16 (for GPUs), int8 (text encoders and UNet), int8-static (UNet, "
            "calibrated on pictures that it draws). Repeatable; a workflow chooses one by NAME@PRECISION.  "
            "[default: fp32]"
        ),
    ] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What int8-static is calibrated on: one prompt a line.")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="What makes the graphs: torch (traces any shape), optimum (Hugging Face Optimum's, fp32), or template "
            "(fp32 and int8 of a .safetensors checkpoint, without PyTorch).  [default: torch where it is installed, "
            "else template]"
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an export that was killed or stopped.")] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Write graphs that differ too much from PyTorch all the same, and begin when memory seems too small.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Turn a Stable Diffusion model (1.x, 2.x, XL, its refiner) into an ONNX bundle that `onnxflow run` reads. PyTorch
    is needed here only, and not for `--engine template`."""
    from onnxflow.errors import Cancelled

    engine = engine or ("torch" if _is_there("torch") else "template")
    _check_engine(engine)
    export_by = {"torch": _with_torch, "optimum": _with_optimum, "template": _with_templates}[engine]
    try:
        made = export_by(
            source,
            output,
            precisions=precision or ["fp32"],
            storage=storage,
            prompts=prompts,
            resume=resume,
            force=force,
            quiet=quiet,
        )
    except KeyboardInterrupt:
        hint = "the same command with --resume goes on with what is done" if engine != "optimum" else ""
        raise Cancelled(hint=hint) from None
    if not quiet:
        print_table(made)
    print(output)


def _with_torch(
    source: Path,
    bundle: Path,
    *,
    precisions: Sequence[str],
    storage: str,
    prompts: Path | None,
    resume: bool,
    force: bool,
    quiet: bool,
) -> Sequence[Exported]:
    """Export with onnxflow's own graphs, with a progress bar."""
    import sys

    from onnxflow.cli.export_progress import open_export_progress
    from onnxflow.export.bundle import export_bundle
    from onnxflow.export.calibration import read_prompts

    with open_export_progress(quiet=quiet, stream=sys.stderr) as shown:
        return export_bundle(
            source,
            bundle,
            precisions=precisions,
            storage=storage,
            prompts=read_prompts(prompts) if prompts else (),
            resume=resume,
            force=force,
            report=shown.say,
            progress=shown.show,
        )


def _with_optimum(
    source: Path,
    bundle: Path,
    *,
    precisions: Sequence[str],
    storage: str,
    prompts: Path | None,
    resume: bool,
    force: bool,
    quiet: bool,
) -> Sequence[Exported]:
    """Export with Hugging Face Optimum's graphs, which come all at once; UsageError for what it cannot do."""
    import sys

    from onnxflow.cli.export_progress import open_export_progress
    from onnxflow.export.optimum_bundle import check_options, export_with_optimum

    check_options(precisions, storage, prompts, resume=resume)
    with open_export_progress(quiet=quiet, stream=sys.stderr) as shown:
        return export_with_optimum(source, bundle, force=force, report=shown.say)


def _with_templates(
    source: Path,
    bundle: Path,
    *,
    precisions: Sequence[str],
    storage: str,
    prompts: Path | None,
    resume: bool,
    force: bool,
    quiet: bool,
) -> Sequence[Exported]:
    """Export a checkpoint with the graphs that the package brings; UsageError for what they cannot do."""
    import sys

    from onnxflow.cli.export_progress import open_export_progress
    from onnxflow.errors import UsageError
    from onnxflow.export.template_bundle import export_with_templates
    from onnxflow.models.checkpoint import open_checkpoint

    if prompts is not None:
        raise UsageError("--engine template calibrates nothing, and reads no prompts", hint="leave --prompts away")
    if source.is_dir():
        raise UsageError(
            f"{source} is a folder; --engine template reads one .safetensors file of all networks",
            hint="install the extra 'export' for --engine torch, which reads folders: see the README under 'Where "
            "models go'",
        )
    with open_export_progress(quiet=quiet, stream=sys.stderr) as shown:
        return export_with_templates(
            open_checkpoint(source),
            bundle,
            precisions=precisions,
            storage=storage,
            resume=resume,
            force=force,
            report=shown.say,
            progress=shown.show,
        )


def _check_engine(engine: str) -> None:
    """UsageError for an unknown engine, or one whose packages are not here or not of the versions that it works with.

    The two engines need different versions of Transformers: each has an environment of its own.
    """
    from importlib.metadata import version

    from onnxflow.errors import UsageError

    if engine not in ENGINES:
        raise UsageError(f"unknown engine {engine!r}", hint=f"choose {' or '.join(ENGINES)}")
    missing = [package for module, package in ENGINES[engine].items() if not _is_there(module)]
    if missing:
        raise UsageError(
            f"exporting with --engine {engine} needs {', '.join(missing)}, not installed here",
            hint=f"make an environment of its own for it, with the extra {EXTRAS[engine]!r}, as the README says under "
            "'Where models go'",
        )
    if engine == "template":
        return
    found = version("transformers")
    if (int(found.split(".")[0]) >= 5) != (engine == "torch"):
        other = "optimum" if engine == "torch" else "torch"
        raise UsageError(
            f"--engine {engine} does not work with Transformers {found}, which is installed here for the other engine",
            hint=f"use --engine {other}, or another environment, as the README says under 'Where models go'",
        )


def _is_there(module: str) -> bool:
    """Whether a module could be imported; nothing but the packages above it is."""
    import importlib.util

    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def print_table(made: Sequence[Exported]) -> None:
    """What was made, on stderr: size, error and time of every graph, and what is to be said of it."""
    from onnxflow.export.manifest import verdict

    seconds = {one.step.component: one.done.seconds for one in made if one.step.precision == "fp32"}
    rows = [("COMPONENT", "PRECISION", "SIZE", "ERROR", "ALLOWED", "SECONDS", "")]
    for one in made:
        rows.append(
            (
                one.step.component,
                one.step.precision,
                f"{one.size / 1e6:.1f} MB",
                f"{one.done.error:.1e}",
                f"{one.step.allowed:.0e}",
                f"{one.done.seconds:.3f}",
                verdict(one, seconds.get(one.step.component)),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip(), err=True)

"""``onnxflow export``: a model folder of PyTorch weights becomes an ONNX bundle (needs the extra ``export``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onnxflow.export.manifest import Exported


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
    is needed here only."""
    import importlib.util
    import sys

    from onnxflow.cli.export_progress import open_export_progress
    from onnxflow.errors import Cancelled, UsageError

    missing = [
        name for name in ("torch", "diffusers", "transformers", "onnx") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise UsageError(
            f"exporting needs {', '.join(missing)}, not installed here",
            hint="make an environment of its own for it, as the README says under 'Where models go'",
        )
    try:
        from onnxflow.export.bundle import export_bundle
        from onnxflow.export.calibration import PROMPTS, read_prompts

        with open_export_progress(quiet=quiet, stream=sys.stderr) as shown:
            made = export_bundle(
                source,
                output,
                storage=storage,
                precisions=precision or ["fp32"],
                prompts=read_prompts(prompts) if prompts else PROMPTS,
                resume=resume,
                force=force,
                report=shown.say,
                progress=shown.show,
            )
    except KeyboardInterrupt:
        raise Cancelled(hint="the same command with --resume goes on with what is done") from None
    if not quiet:
        print_table(made)
    print(output)


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

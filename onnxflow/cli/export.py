"""``onnxflow export``: a model folder of PyTorch weights becomes an ONNX bundle (needs the extra ``export``)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


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
            help="int8 adds text encoders and UNet with int8 weights to fp32, which is always there (repeatable)."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Turn a Stable Diffusion model (1.x, 2.x, XL, its refiner) into an ONNX bundle that `onnxflow run` reads. PyTorch
    is needed here only."""
    import importlib.util

    from onnxflow.errors import UsageError

    missing = [
        name for name in ("torch", "diffusers", "transformers", "onnx") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise UsageError(
            f"exporting needs {', '.join(missing)}, not installed here",
            hint="make an environment of its own for it, as the README says under 'Where models go'",
        )
    from onnxflow.export.bundle import export_bundle

    def report(line: str) -> None:
        if not quiet:
            typer.echo(line, err=True)

    export_bundle(source, output, storage=storage, precisions=precision or ["fp32"], report=report)
    print(output)

"""``onnxflow verify``: is a model what its manifest says, and does it still compute what PyTorch computed?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onnxflow.models.bundle import Bundle


def verify(
    bundle: Annotated[Path, typer.Argument(help="An exported model: its folder, or the name workflows use.")],
    on: Annotated[
        str,
        typer.Option(
            metavar="DEVICE",
            help="The device whose graphs are asked (cuda:0, webgpu, openvino:gpu ...). What it answers is remembered: "
            "one that computes a graph wrong does not get it again.",
        ),
    ] = "cpu",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say what is wrong only.")] = False,
) -> None:
    """Check a model's files against their SHA-256, and its graphs on a device against what PyTorch gave at export."""
    from onnxflow.cancel import CancelToken
    from onnxflow.cli.summary import tell_tried
    from onnxflow.engine.verify import check_files, verdicts
    from onnxflow.errors import ModelError, ProviderError
    from onnxflow.models.bundle import open_bundle
    from onnxflow.placing import machine_of
    from onnxflow.providers.device import CPU, parse_device

    device = parse_device(on)
    cancel = CancelToken()
    health = machine_of(cancel, None if quiet else tell_tried).health(device, again=device != CPU)
    if not health.works:
        raise ProviderError(f"{device} cannot be used: {health.problem}", where="--on", hint=health.cure)
    model = open_bundle(bundle) if bundle.is_dir() else _named(str(bundle))
    check_files(model, lambda name: None if quiet else typer.echo(f"reading {name}", err=True))
    wrong = []
    asked = False
    place, origin = "" if device == CPU else f" on {device}", model.manifest.compared_with
    for verdict in verdicts(model, cancel, device, split=health.split):
        asked = True
        told = f"{verdict.at_export:.1e} at export, allowed {verdict.allowed:.0e}"
        line = f"{verdict.component}, {verdict.variant}{place}: {verdict.error:.1e} from {origin} ({told})"
        if not verdict.right:
            wrong.append(line)
        elif not quiet:
            typer.echo(line)
    if not asked:
        raise ProviderError(
            f"{device} takes none of the variants of {model.name}: nothing was asked",
            where="--on",
            hint=f"it takes {', '.join(device.facts.precisions)}: export the model in one of these",
        )
    if not wrong and not quiet:
        typer.echo("all files and graphs are right")
    if wrong:
        raise ModelError(
            "; ".join(wrong),
            where=str(bundle),
            hint="another version of ONNX Runtime may compute it right: report it"
            if device == CPU
            else f"update the driver and the wheel, or use another device: {device} does not get these any more",
        )


def _named(name: str) -> Bundle:
    """The model that workflows call ``name``; UsageError for one that is neither that nor a folder."""
    import os

    from onnxflow.errors import ModelError, UsageError
    from onnxflow.models.bundle import Bundle
    from onnxflow.settings import load_settings, store_of

    settings = load_settings(environment=os.environ, working_dir=Path.cwd())
    try:
        found = store_of(settings).checkpoint(name)
    except ModelError as error:
        raise UsageError(f"{name} is no folder, and {error.message}", hint=error.hint) from None
    if not isinstance(found, Bundle):
        raise UsageError(
            f"{name} is a checkpoint that runs as it is: nobody wrote down what PyTorch answers with it",
            hint="export it with `onnxflow export`, and verify that",
        )
    return found

"""``onnxflow warm``: load, compile and call every network of a model once, so that the first picture does not wait."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def warm(
    model: Annotated[str, typer.Argument(help="The model's name, as workflows and `onnxflow models` write it.")],
    size: Annotated[
        str, typer.Option(metavar="WIDTHxHEIGHT", help="The pictures' size.  [default: the model's own]")
    ] = "",
    batch: Annotated[int, typer.Option(min=1, max=64, help="Pictures at a time.")] = 1,
    place: Annotated[
        list[str] | None,
        typer.Option(metavar="COMPONENT=DEVICE,...", help="What runs where, as in `onnxflow run`. Repeatable."),
    ] = None,
    fallback: Annotated[str, typer.Option(metavar="[refuse|allow]", help="As in `onnxflow run`.")] = "refuse",
    models: Annotated[list[Path] | None, typer.Option(help="A folder of models. Repeatable.")] = None,
) -> None:
    """Load, compile and call every network of a model where it will run, and say how long each took.

    What a device compiles is kept on the disk, so that the first run finds it. Devices that fix sizes compile for each.
    """
    import os

    from onnxflow.cancel import CancelToken
    from onnxflow.cli.summary import fallen_back, tell_stopping, tell_tried
    from onnxflow.engine.run import interruptible
    from onnxflow.engine.warm import warm as warmed
    from onnxflow.placing import machine_of, placing_of
    from onnxflow.settings import load_settings, store_of

    settings = load_settings(models or [], environment=os.environ, working_dir=Path.cwd())
    bundle = store_of(settings).checkpoint(model)
    width, height = _size(size) if size else (bundle.manifest.width, bundle.manifest.height)
    cancel = CancelToken()
    machine = machine_of(cancel, tell_tried)
    placing = placing_of(place or [], settings.place, fallback=fallback, machine=machine)

    def work() -> None:
        for one in warmed(bundle, placing, width, height, batch, cancel):
            use, facts = one.use, one.use.facts
            size = f", batch of {one.rows}" if use.place.fixed else ""
            typer.echo(
                f"{use.component}, {use.variant} on {use.device}{size}: read {facts.load_seconds:.2f} s,"
                f" optimise and compile {facts.build_seconds:.2f} s, first call {facts.first_seconds:.2f} s,"
                f" next call {one.next_seconds:.2f} s"
            )
            for line in fallen_back([use]):
                typer.echo(line, err=True)

    interruptible(work, cancel, tell_stopping)


def _size(text: str) -> tuple[int, int]:
    """Width and height in "WIDTHxHEIGHT"; UsageError."""
    from onnxflow.errors import UsageError, shown

    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdecimal() and len(part) < 6 for part in parts):
        raise UsageError(f"--size {shown(text)} is no size", hint="write it as 512x768")
    width, height = int(parts[0]), int(parts[1])
    if width < 8 or height < 8 or width % 8 or height % 8:
        raise UsageError(f"--size {shown(text)}: width and height are multiples of 8", hint="write it as 512x768")
    return width, height

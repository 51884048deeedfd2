"""The commands of ``onnxflow``."""

from __future__ import annotations

import typer

from onnxflow import __version__
from onnxflow.cli.check import check
from onnxflow.cli.convert import convert
from onnxflow.cli.doctor import doctor
from onnxflow.cli.export import export
from onnxflow.cli.models import models
from onnxflow.cli.nodes import nodes
from onnxflow.cli.plan import plan
from onnxflow.cli.providers import providers
from onnxflow.cli.run import run
from onnxflow.cli.verify import verify
from onnxflow.cli.warm import warm

_WHAT = "Run saved image-generation workflows (ComfyUI JSON) through ONNX Runtime, without PyTorch."
_EXIT_CODES = """Exit codes: 0 ok, 1 failed, 2 invalid workflow or flags, 3 provider, 4 out of memory, 130 cancelled."""

app = typer.Typer(
    name="onnxflow",
    help=_WHAT,
    epilog=_EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(check)
app.command()(convert)
app.command()(plan)
app.command()(nodes)
app.command()(export)
app.command()(verify)
app.command()(warm)
app.command()(doctor)
app.command()(providers)
app.add_typer(models, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"onnxflow {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """What stands before the command."""

"""The program ``onnxflow``: its commands, and how an error becomes lines on stderr and an exit code."""

from __future__ import annotations

import sys
import traceback

import typer

from onnxflow import __version__
from onnxflow.cli.export import export
from onnxflow.cli.run import run
from onnxflow.errors import Cancelled, OnnxflowError

EXIT_CODES = """Exit codes: 0 ok, 1 failed, 2 invalid workflow or flags, 3 provider, 4 out of memory, 130 cancelled."""

app = typer.Typer(
    name="onnxflow",
    help="Run saved image-generation workflows (ComfyUI JSON) through ONNX Runtime, without PyTorch.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(run)
app.command()(export)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"onnxflow {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Run saved image-generation workflows (ComfyUI JSON) through ONNX Runtime, without PyTorch."""


def main() -> None:
    """Run the command line; every error of ours ends as text on stderr and the exit code of its kind."""
    try:
        app()
    except Cancelled:
        print("cancelled", file=sys.stderr)
        sys.exit(Cancelled.exit_code)
    except KeyboardInterrupt:
        sys.exit(Cancelled.exit_code)
    except BrokenPipeError:
        # The reader of our output went away (`onnxflow ... | head`): nothing is left to say.
        sys.stderr.close()
        sys.exit(1)
    except OnnxflowError as error:
        if "-v" in sys.argv or "--verbose" in sys.argv:
            traceback.print_exception(error)
        print(f"error: {error.render()}", file=sys.stderr)
        sys.exit(error.exit_code)

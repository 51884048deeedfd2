"""The program ``onnxflow``: how any error becomes lines on stderr and an exit code."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line; every error ends as text on stderr and the exit code of its kind."""
    _mend_streams()
    try:
        # Imported here, so that a Ctrl-C while modules load is as quiet as any other.
        from onnxflow.cli.app import app
        from onnxflow.errors import Cancelled, OnnxflowError, printable
    except KeyboardInterrupt:
        _leave("cancelled", 130)
    try:
        app()
        sys.stdout.flush()
    except Cancelled as cancelled:
        _leave(cancelled.render(), Cancelled.exit_code)
    except KeyboardInterrupt:
        # A second Ctrl-C, while a network runs or loads: without its threads' consent.
        _leave("cancelled", Cancelled.exit_code)
    except SystemExit as leaving:
        if leaving.code == Cancelled.exit_code:
            _leave("cancelled", Cancelled.exit_code)  # typer has taken the interrupt
        raise
    except BrokenPipeError:
        _leave("", 1)  # the reader of our output went away (`onnxflow ... | head`): nothing is left to say
    except OnnxflowError as error:
        print(f"error: {error.render()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except OSError as error:
        _leave(f"error: cannot write the output: {error.strerror or error}", 1)
    except Exception as error:
        print(
            f"error: internal error: {type(error).__name__}: {printable(str(error))}\n"
            "  try: run with -v, and report what it prints with the workflow",
            file=sys.stderr,
        )
        sys.exit(1)


def _mend_streams() -> None:
    """Closed streams become empty ones, and no path is unprintable: a cron job has neither a terminal nor a locale."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
            stream.reconfigure(errors="surrogateescape" if unicode else "backslashreplace")


def _leave(message: str, code: int) -> None:
    """End at once, whatever threads are still running and whatever the streams still hold."""
    try:
        if message:
            print(message, file=sys.stderr, flush=True)
    finally:
        os._exit(code)

"""``onnxflow run``: run a saved workflow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onnxflow.workflow.workflow import Workflow

MAX_SEED = 2**64 - 1


def run(
    workflow: Annotated[Path, typer.Argument(help="A workflow in ComfyUI's API format (JSON).")],
    output_dir: Annotated[Path | None, typer.Option(help="Where pictures are saved.  [default: output]")] = None,
    input_dir: Annotated[Path | None, typer.Option(help="Where LoadImage looks.  [default: input]")] = None,
    models: Annotated[
        list[Path] | None,
        typer.Option(help="A folder of models, with ComfyUI's folder names below it (checkpoints/ ...). Repeatable."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NODE.INPUT=VALUE",
            help="Change an input; NODE is an id, or a class or title that only one node has. Repeatable.",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Use this seed everywhere.")] = None,
    count: Annotated[int, typer.Option(min=1, help="Run this often, raising every seed by one each time.")] = 1,
    json_: Annotated[bool, typer.Option("--json", help="Print events as JSON lines on stdout.")] = False,
    metadata: Annotated[bool, typer.Option(help="Keep the workflow in the pictures.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Times by node and session; tracebacks.")] = False,
) -> None:
    """Run a saved workflow: progress on stderr, the paths of saved files on stdout."""
    # Everything heavy is imported here, so that --help and --version answer at once.
    import os
    import sys

    from onnxflow.api import disk_of
    from onnxflow.cancel import CancelToken
    from onnxflow.cli.json_events import JsonEvents
    from onnxflow.cli.progress import open_progress
    from onnxflow.cli.summary import print_details, print_summary
    from onnxflow.engine.cache import ResultCache
    from onnxflow.engine.run import interruptible, run_workflow
    from onnxflow.errors import OnnxflowError
    from onnxflow.nodes.catalog import builtin_catalog
    from onnxflow.providers.session import SessionCache
    from onnxflow.settings import load_settings
    from onnxflow.workflow.overrides import apply_overrides, parse_override
    from onnxflow.workflow.read import read_workflow

    json_events = JsonEvents(sys.stdout) if json_ else None
    cancel = CancelToken()
    sessions = SessionCache()
    try:
        overrides = [parse_override(text) for text in set_ or ()]
        settings = load_settings(models or (), input_dir, output_dir, environment=os.environ, working_dir=Path.cwd())
        catalog = builtin_catalog()
        base = apply_overrides(read_workflow(workflow), overrides, catalog)
        cache = ResultCache() if count > 1 else None
        disk = disk_of(settings)
        for turn in range(count):
            current = _with_seeds(base, seed, turn, count, say=not quiet)
            with open_progress(current.graph, quiet=quiet, stream=sys.stderr) as progress:
                listeners = [progress, *([json_events] if json_events else [])]
                report = interruptible(
                    lambda current=current, listeners=listeners: run_workflow(  # type: ignore[misc]
                        current,
                        catalog,
                        disk,
                        sessions,
                        cache=cache,
                        listeners=listeners,
                        cancel=cancel,
                        metadata=metadata,
                    ),
                    cancel,
                )
            if json_events:
                json_events.report(report)
            else:
                for file in report.saved:
                    print(file.path, flush=True)
            if verbose:
                print_details(report, sys.stderr)
            if not quiet:
                print_summary(report, sys.stderr)
    except OnnxflowError as error:
        if json_events:
            json_events.error(error)
        raise
    finally:
        sessions.close()


def _with_seeds(base: Workflow, seed: int | None, turn: int, count: int, *, say: bool) -> Workflow:
    """The workflow of one turn: with ``seed`` everywhere if given, then every seed raised by ``turn``."""
    from onnxflow.workflow.overrides import apply_seed, raise_seeds, seeds

    current = base
    if seed is not None:
        current, changed = apply_seed(base, seed)
        if say and turn == 0:
            typer.echo(
                f"seed {seed} for {', '.join(changed)}" if changed else "the workflow has no seed to set", err=True
            )
    if count > 1:
        current = raise_seeds(current, turn)
        if say:
            used = ", ".join(f"{name}={value}" for name, value in seeds(current).items())
            typer.echo(f"run {turn + 1} of {count}" + (f": {used}" if used else ": no seed to raise"), err=True)
    return current

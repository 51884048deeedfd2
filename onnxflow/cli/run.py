"""``onnxflow run``: run a saved workflow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from onnxflow.cli.opened import (
    CustomNodes,
    ExtraPaths,
    File,
    InputDir,
    MapModel,
    Models,
    NoCustomNodes,
    PromptSeed,
    packs_of,
)

MAX_SEED = 2**64 - 1


def run(
    workflow: File,
    output_dir: Annotated[Path | None, typer.Option(help="Where pictures are saved.  [default: output]")] = None,
    input_dir: InputDir = None,
    models: Models = None,
    extra_model_paths: ExtraPaths = None,
    map_model: MapModel = None,
    custom_nodes: CustomNodes = None,
    no_custom_nodes: NoCustomNodes = False,
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
    place: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT=DEVICE,...",
            help="What runs where: a node id or a component (unet, clip, vae ... or * for all), and a device "
            "(cpu, cuda:0, webgpu, openvino:npu ... or auto), maybe with a precision (cpu@int8). Repeatable. "
            "`onnxflow providers` lists devices.",
        ),
    ] = None,
    fallback: Annotated[
        str,
        typer.Option(
            metavar="[refuse|allow]",
            help="When a device that was asked for does not take a network: refuse it, or allow the CPU and say so.",
        ),
    ] = "refuse",
    on_nan: Annotated[
        str,
        typer.Option(
            metavar="[error|upcast]",
            help="When a network gives NaN or infinity: say where, or compute it again in fp32 from there on.",
        ),
    ] = "error",
    loading: Annotated[
        str,
        typer.Option(
            metavar="[auto|low-memory|default|fast]",
            help="How the CPU loads a .safetensors checkpoint's networks: auto looks at the free memory and the steps. "
            "low-memory and default leave the weights in the file, fast makes copies that compute a tenth faster.",
        ),
    ] = "auto",
    seed_rule: Annotated[
        str,
        typer.Option(
            metavar="[next|same]",
            help="Which seed the noise of a sampler's steps is drawn from: the next one, as in ComfyUI since the end "
            "of 2025, or the same as the start's, for pictures made before.",
        ),
    ] = "next",
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            max=256,
            help="How many nodes that run no network may run at once, beside the one that does.",
        ),
    ] = 1,
    prompt_seed: PromptSeed = 0,
    preview: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write a small picture of every step into this folder (JPEG).")
    ] = None,
    dump: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NODE",
            help="Write a node's results as files to look at: pictures, plots, numbers. It runs even where no output "
            'needs it. NODE as for --set, or "*" for every node that runs. Repeatable.',
        ),
    ] = None,
    dump_dir: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where --dump writes.  [default: dump in the output folder]")
    ] = None,
    metadata: Annotated[bool, typer.Option(help="Keep the workflow in the pictures.")] = True,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no summary; only what is not as asked.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Times by node and session; tracebacks.")] = False,
) -> None:
    """Run a saved workflow: progress on stderr, the paths of saved files on stdout."""
    # Everything heavy is imported here, so that --help and --version answer at once.
    from onnxflow.errors import Cancelled

    try:
        where = (place or [], fallback, on_nan, loading, seed_rule, prompt_seed, jobs)
        looks = (preview, dump or [], dump_dir)
        packs = packs_of(custom_nodes, no_custom_nodes=no_custom_nodes)
        names = (models or [], extra_model_paths or [], map_model or [], packs)
        _run(workflow, output_dir, input_dir, names, set_, seed, count, json_, looks, metadata, quiet, verbose, where)
    except KeyboardInterrupt:  # while modules load, or the second one
        raise Cancelled() from None


def _run(
    workflow: Path,
    output_dir: Path | None,
    input_dir: Path | None,
    names: tuple[list[Path], list[Path], list[str], Sequence[Path] | None],
    sets: list[str] | None,
    seed: int | None,
    count: int,
    json: bool,
    looks: tuple[str | None, list[str], str | None],
    metadata: bool,
    quiet: bool,
    verbose: bool,
    where: tuple[list[str], str, str, str, str, int, int],
) -> None:
    import sys
    import traceback

    from onnxflow.cli.json_events import JsonEvents
    from onnxflow.cli.results import results_only
    from onnxflow.cli.turns import Turns
    from onnxflow.errors import OnnxflowError

    json_events = JsonEvents(sys.stdout) if json else None
    try:
        with results_only() as out:
            place, fallback, on_nan, loading, seed_rule, prompt_seed, jobs = where
            preview, dump, dump_dir = looks
            models, extra, map_model, packs = names
            turns = Turns(
                workflow,
                sets or [],
                seed,
                count,
                models,
                input_dir,
                output_dir,
                extra=extra,
                map_model=map_model,
                custom_nodes=packs,
                metadata=metadata,
                place=place,
                fallback=fallback,
                on_nan=on_nan,
                loading=loading,
                seed_rule=seed_rule,
                jobs=jobs,
                prompt_seed=prompt_seed,
                preview=preview,
                dump=dump,
                dump_dir=dump_dir,
                quiet=quiet,
            )
            turns.run(json_events, out, verbose=verbose)
    except Exception as error:
        if verbose:
            traceback.print_exception(error)
        if json_events and isinstance(error, OnnxflowError):
            json_events.error(error)
        raise

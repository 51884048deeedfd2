"""``onnxflow plan``: what a run would do, as a table or as a drawing; nothing is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

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
)

if TYPE_CHECKING:
    from onnxflow.engine.outline import OutlinedStep, Used


def plan(
    workflow: File,
    models: Models = None,
    extra_model_paths: ExtraPaths = None,
    map_model: MapModel = None,
    input_dir: InputDir = None,
    place: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=DEVICE,...", help="What runs where, as in `onnxflow run`. Repeatable."),
    ] = None,
    prompt_seed: PromptSeed = 0,
    custom_nodes: CustomNodes = None,
    no_custom_nodes: NoCustomNodes = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")] = False,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a drawing in Mermaid's language instead.")] = False,
) -> None:
    """Say what a run would do: the steps in their order, the networks that each runs, their files and sizes, and which
    results are used twice."""
    from onnxflow.cancel import CancelToken
    from onnxflow.cli.opened import opened, surroundings
    from onnxflow.cli.results import results_only
    from onnxflow.engine.outline import outline
    from onnxflow.engine.places import places
    from onnxflow.engine.plan import make_plan
    from onnxflow.errors import UsageError
    from onnxflow.placing import machine_of, placing_of
    from onnxflow.workflow.check import check

    if json_ and mermaid:
        raise UsageError("--json and --mermaid are two forms of one answer", hint="choose one of them")
    around = surroundings(
        models, extra_model_paths, map_model, input_dir, custom_nodes, no_custom_nodes=no_custom_nodes
    )
    with results_only():
        found = opened(workflow, around, prompt_seed)
        checked = check(found, around.catalog, around.disk)
        placed = places(checked, found, placing_of(place or [], {}, machine=machine_of(CancelToken())))
        steps = outline(make_plan(checked, around.disk, placed=placed), around.disk, placed)
    if json_:
        _print_json(steps)
    elif mermaid:
        typer.echo("\n".join(drawing(steps)))
    else:
        _print_table(steps)


def _print_json(steps: Sequence[OutlinedStep]) -> None:
    import json
    from dataclasses import asdict

    typer.echo(json.dumps({"steps": [asdict(step) for step in steps]}, default=str))


def _print_table(steps: Sequence[OutlinedStep]) -> None:
    from onnxflow.errors import printable
    from onnxflow.memory import size

    rows = [("NODE", "CLASS", "RUNS", "WEIGHTS", "READS", "")]
    for step in steps:
        note = f"same as {step.same}" if step.same else "keeps a result" if step.output else ""
        runs = ", ".join(map(_run, step.runs)) if not step.same else ""
        weights = size(sum(used.size for used in step.runs)) if runs else ""
        rows.append((step.id, step.class_type, runs, weights, ", ".join(step.reads), note))
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(rows[0]))]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    networks = {(used.path, used.component, used.variant): used for step in steps for used in step.runs}
    if networks:
        total = size(sum(used.size for used in networks.values()))
        typer.echo(f"\n{len(steps)} steps, {len(networks)} networks with {total} of weights:")
        for used in networks.values():
            typer.echo(
                printable(f"  {used.component} ({used.variant}) of {used.model}: {size(used.size)}, {used.path}")
            )


def _run(used: Used) -> str:
    return f"{used.component} {used.variant}" + (f" on {used.place}" if used.place else "")


def drawing(steps: Sequence[OutlinedStep]) -> list[str]:
    """The steps as lines of a Mermaid flowchart: what runs a network is round, what keeps a result is double."""
    names = {step.id: f"n{number}" for number, step in enumerate(steps)}
    lines = ["flowchart LR"]
    for step in steps:
        label = _escaped(f"{step.id} {step.title or step.class_type}")
        if step.runs:
            label += "<br/>" + _escaped(", ".join(map(_run, step.runs)))
        left, right = ("(", ")") if step.runs else ("[[", "]]") if step.output else ("[", "]")
        lines.append(f'    {names[step.id]}{left}"{label}"{right}')
    for step in steps:
        lines += [f"    {names[other]} --> {names[step.id]}" for other in step.reads if other in names]
        if step.same in names:
            lines.append(f"    {names[step.same]} -. same .-> {names[step.id]}")
    return lines


def _escaped(text: str) -> str:
    """A text as Mermaid takes it inside quotes: with entities for whatever has a meaning there."""
    return "".join(sign if sign.isalnum() or sign in " ,.:_-@" else f"#{ord(sign)};" for sign in text)

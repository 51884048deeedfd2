"""``onnxflow check``: can a workflow run here? Every problem in one list, and nothing is loaded."""

from __future__ import annotations

from typing import Annotated

import typer

from onnxflow.cli.opened import CustomNodes, ExtraPaths, File, InputDir, MapModel, Models, NoCustomNodes


def check(
    workflow: File,
    models: Models = None,
    extra_model_paths: ExtraPaths = None,
    map_model: MapModel = None,
    input_dir: InputDir = None,
    custom_nodes: CustomNodes = None,
    no_custom_nodes: NoCustomNodes = False,
    json_: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout instead of lines.")] = False,
) -> None:
    """Say everything that keeps a workflow from running here: classes, models, files, values, links. Exit code 2 when
    there is something, 0 when there is nothing."""
    import json

    from onnxflow.cli.opened import opened, surroundings
    from onnxflow.cli.results import results_only
    from onnxflow.errors import WorkflowError, printable
    from onnxflow.workflow.check import every_problem
    from onnxflow.workflow.response import error_response

    around = surroundings(
        models, extra_model_paths, map_model, input_dir, custom_nodes, no_custom_nodes=no_custom_nodes
    )
    try:
        with results_only():
            found = opened(workflow, around)
            problems = every_problem(found, around.catalog, around.disk)
        if problems:
            raise WorkflowError(_count(len(problems)), problems=problems, where=found.where)
    except WorkflowError as error:
        if json_:
            typer.echo(json.dumps({"valid": False, **error_response(error)}, default=str))
        raise
    nodes = found.graph.nodes
    outputs = [node.id for node in nodes.values() if around.catalog[node.class_type].output_node]
    if json_:
        said = {"valid": True, "nodes": len(nodes), "outputs": outputs, "remarks": list(found.remarks)}
        typer.echo(json.dumps(said))
        return
    for remark in found.remarks:
        typer.echo(f"note: {printable(remark)}", err=True)
    typer.echo(f"{printable(found.where)} can run: {len(nodes)} nodes, results of {', '.join(map(printable, outputs))}")


def _count(number: int) -> str:
    from onnxflow.workflow.check import MOST_PROBLEMS

    if number >= MOST_PROBLEMS:
        return f"there are {number:,} problems or more"
    return "there is one problem" if number == 1 else f"there are {number} problems"

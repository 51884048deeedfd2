"""A workflow for the commands that look at one without running it: the file, the classes there are, the folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onnxflow.models.disk import Disk
    from onnxflow.nodes.catalog import NodeCatalog
    from onnxflow.workflow.workflow import Workflow

File = Annotated[
    Path,
    typer.Argument(
        help="A workflow that ComfyUI's editor saved or exported (API), or a picture that carries one; - for stdin."
    ),
]
Models = Annotated[
    list[Path] | None,
    typer.Option("--models", help="A folder of models, with ComfyUI's folder names below it. Repeatable."),
]
ExtraPaths = Annotated[
    list[Path] | None,
    typer.Option("--extra-model-paths", metavar="FILE", help="ComfyUI's extra_model_paths.yaml. Repeatable."),
]
MapModel = Annotated[
    list[str] | None,
    typer.Option("--map-model", metavar="OLD=NEW", help="Take the model NEW where the workflow names OLD. Repeatable."),
]
InputDir = Annotated[Path | None, typer.Option("--input-dir", help="Where LoadImage looks.  [default: input]")]
PromptSeed = Annotated[
    int,
    typer.Option(
        "--prompt-seed",
        min=0,
        help="Which options are taken of prompts such as {red|green} car in the editor's format, at random. "
        "With --count every run chooses anew.",
    ),
]
CustomNodes = Annotated[
    list[Path] | None,
    typer.Option(
        "--custom-nodes",
        metavar="DIR",
        help="A folder of node packs, as ComfyUI's custom_nodes: their code runs. Repeatable.  "
        "[default: custom_nodes, if it is there]",
    ),
]
NoCustomNodes = Annotated[bool, typer.Option("--no-custom-nodes", help="Load no node packs.")]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The node classes there are, and where models and files lie."""

    catalog: NodeCatalog
    disk: Disk


def packs_of(custom_nodes: Sequence[Path] | None, *, no_custom_nodes: bool) -> Sequence[Path] | None:
    """The folders of node packs that the flags name, none for the usual ones, None for none at all; UsageError."""
    if no_custom_nodes and custom_nodes:
        from onnxflow.errors import UsageError

        raise UsageError("--custom-nodes and --no-custom-nodes together say nothing", hint="leave one of them away")
    return None if no_custom_nodes else custom_nodes or []


def surroundings(
    models: Sequence[Path] | None,
    extra: Sequence[Path] | None,
    map_model: Sequence[str] | None,
    input_dir: Path | None,
    custom_nodes: Sequence[Path] | None,
    *,
    no_custom_nodes: bool,
) -> Surroundings:
    """What the flags and the configuration say; UsageError."""
    import os

    from onnxflow.api import disk_of, nodes_of
    from onnxflow.cli.results import results_only
    from onnxflow.errors import printable
    from onnxflow.settings import load_settings

    settings = load_settings(
        models or (),
        input_dir,
        None,
        extra=extra or (),
        map_model=map_model or (),
        custom_nodes=packs_of(custom_nodes, no_custom_nodes=no_custom_nodes),
        environment=os.environ,
        working_dir=Path.cwd(),
    )
    disk = disk_of(settings)
    with results_only():
        catalog, remarks = nodes_of(settings, disk)
    for line in remarks:
        typer.echo(f"note: {printable(line)}", err=True)
    return Surroundings(catalog, disk)


def opened(file: Path, around: Surroundings, prompt_seed: int = 0) -> Workflow:
    """The workflow in a file; WorkflowError."""
    from onnxflow.workflow.definitions import definitions
    from onnxflow.workflow.read import Reading, read_workflow

    return read_workflow(file, Reading(definitions(around.catalog, around.disk), prompt_seed))

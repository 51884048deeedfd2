"""``onnxflow nodes``: the node classes, those that run here and those that are only known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from onnxflow.cli.opened import CustomNodes, NoCustomNodes

if TYPE_CHECKING:
    from onnxflow.workflow.definition import DefinedInput, Definition

_SHOWN = 12  # choices


def nodes(
    class_: Annotated[str | None, typer.Argument(metavar="[CLASS]", help="A class to be told all of.")] = None,
    custom_nodes: CustomNodes = None,
    no_custom_nodes: NoCustomNodes = False,
    json_: Annotated[
        bool, typer.Option("--json", help="Print the classes that run here as ComfyUI's /object_info.")
    ] = False,
) -> None:
    """List every node class with its category and whether it runs here, or tell the inputs and outputs of one."""
    import json

    from onnxflow.cli.opened import surroundings
    from onnxflow.cli.results import results_only
    from onnxflow.errors import UsageError, did_you_mean, shown
    from onnxflow.workflow.definitions import comfyui_names, definitions

    around = surroundings(None, None, None, None, custom_nodes, no_custom_nodes=no_custom_nodes)
    define = definitions(around.catalog, around.disk)
    names = sorted({*around.catalog, *comfyui_names()})
    if class_ is not None and class_ not in names:
        raise UsageError(
            f"there is no node class {shown(class_)}", hint=did_you_mean(class_, names, what="node classes")
        )
    if json_:
        chosen = around.catalog if class_ is None else [name for name in around.catalog if name == class_]
        with results_only():
            described = {name: around.catalog[name].describe(around.disk) for name in chosen}
        typer.echo(json.dumps(described))
        return
    if class_ is not None:
        with results_only():
            definition = define(class_)
        assert definition is not None, "every listed class is defined"
        _tell(definition, _here(class_, around.catalog))
        return
    rows = [("CLASS", "CATEGORY", "HERE")]
    with results_only():
        for name in names:
            found = define(name)
            rows.append((name, found.category if found is not None else "", _here(name, around.catalog)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _here(name: str, catalog: object) -> str:
    """Whether a class runs here, or why not."""
    from collections.abc import Container

    from onnxflow.workflow.definitions import needs

    assert isinstance(catalog, Container)
    if name in catalog:
        return "runs"
    lacking = needs(name)
    return f"known, not runnable here: needs {lacking}" if lacking else "known, not in this version yet"


def _tell(definition: Definition, here: str) -> None:
    """A class with its inputs and outputs, a line each."""
    typer.echo(f"{definition.name} ({definition.title}), {definition.category}: {here}")
    for one in definition.inputs:
        typer.echo(f"  in   {one.name}: {_typed(one)}{'' if one.required else ' (optional)'}")
    for slot, output in enumerate(definition.outputs):
        typer.echo(f"  out  {slot} {output.name}: {output.type}")


def _typed(one: DefinedInput) -> str:
    """The type of an input, what is allowed, and what it is at first."""
    if not one.widget:
        return one.type
    said = one.type
    if one.choices is not None:
        listed = ", ".join(map(str, one.choices[:_SHOWN]))
        more = f" and {len(one.choices) - _SHOWN} more" if len(one.choices) > _SHOWN else ""
        said = f"one of {listed}{more}" if one.choices else "one of the files that are there"
    elif one.lowest is not None or one.highest is not None:
        said += f" from {one.lowest} to {one.highest}"
    return said + (f", at first {one.initial!r}" if one.initial not in (None, "") else "")

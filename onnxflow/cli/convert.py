"""``onnxflow convert``: a saved workflow in ComfyUI's API format, out of any form."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnxflow.cli.opened import CustomNodes, File, NoCustomNodes, PromptSeed

API, EDITOR = "api", "ui"


def convert(
    workflow: File,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where the JSON is written; - for stdout.")
    ] = "-",
    to: Annotated[
        str, typer.Option(metavar="[api|ui]", help="The API format, or the editor's own, with a layout.")
    ] = API,
    prompt_seed: PromptSeed = 0,
    custom_nodes: CustomNodes = None,
    no_custom_nodes: NoCustomNodes = False,
) -> None:
    """Write a workflow that the editor saved, or that a picture carries, in the API format; or one in the API format as
    the editor saves it. What is said of it goes to stderr; nothing is left out in silence."""
    from onnxflow.cli.opened import opened, surroundings
    from onnxflow.cli.results import results_only
    from onnxflow.errors import UsageError, did_you_mean, printable, shown
    from onnxflow.workflow.definitions import definitions

    if to not in (API, EDITOR):
        raise UsageError(
            f"--to {shown(to)} is none of its choices", hint=did_you_mean(to, (API, EDITOR), what="allowed")
        )
    around = surroundings(None, None, None, None, custom_nodes, no_custom_nodes=no_custom_nodes)
    with results_only():
        found = opened(workflow, around, prompt_seed)
        remarks = list(found.remarks)
        define = definitions(around.catalog, around.disk)
        unknown = [node for node in found.graph.nodes.values() if define(node.class_type) is None]
        remarks += [f"{node.ref}: nobody here knows this class, its values may be incomplete" for node in unknown]
        document = found.document
        if to == EDITOR:
            from onnxflow.workflow.ui.from_api import to_ui

            made = to_ui(found.document, define, found.where)
            document, remarks = made.document, [*remarks, *made.remarks]
    for remark in remarks:
        typer.echo(f"note: {printable(remark)}", err=True)
    _write(document, output)


def _write(document: object, output: str) -> None:
    """Write JSON, whole or not at all; OutputError."""
    import json

    from onnxflow.dump.file import replace_file
    from onnxflow.errors import OutputError

    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=True) + "\n"
    if output == "-":
        typer.echo(text, nl=False)
        return
    try:
        replace_file(Path(output), text.encode("utf-8", errors="surrogatepass"))
    except OSError as error:
        raise OutputError(
            f"cannot write the workflow: {error.strerror or error}",
            where=output,
            hint="name a file in a folder that is there and may be written to",
        ) from None

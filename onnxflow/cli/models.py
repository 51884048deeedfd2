"""``onnxflow models``: what models there are, and how to get rid of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from onnxflow.models.store import Entry, ModelStore

models = typer.Typer(
    help="List the models there are, or remove one.", invoke_without_command=True, rich_markup_mode=None
)
Folders = Annotated[
    list[Path] | None,
    typer.Option("--models", help="A folder of models, with ComfyUI's folder names below it. Repeatable."),
]


Extra = Annotated[
    list[Path] | None,
    typer.Option("--extra-model-paths", metavar="FILE", help="ComfyUI's extra_model_paths.yaml. Repeatable."),
]


@models.callback()
def list_models(ctx: typer.Context, folders: Folders = None, extra: Extra = None) -> None:
    """List every model: the name that workflows use, family, precisions, size, folder."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = folders
        return
    from onnxflow.errors import printable

    store = _store(folders, extra)
    entries = store.entries()
    rows = [("NAME", "FAMILY", "PRECISIONS", "SIZE", "FOLDER"), *map(_row, entries), *_networks(store)]
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(rows[0]))]
    for row in cells:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for entry in entries:
        if entry.problem:
            typer.echo(f"note: {printable(entry.name)} cannot be used: {printable(entry.problem)}", err=True)


@models.command("rm")
def remove(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The model's name, as `onnxflow models` prints it.")],
    folders: Folders = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove an exported model from disk. Other files of its folder's neighbourhood are left alone."""
    import sys

    from onnxflow.errors import UsageError
    from onnxflow.models.bundle import is_bundle
    from onnxflow.models.remove import remove_bundle
    from onnxflow.models.store import embedded_folder

    entry = _store(folders or ctx.obj).entry(name)
    if entry.folder == embedded_folder():
        raise UsageError(f"{name!r} is the embedded model, which comes with the program", hint="leave it, or uninstall")
    if not is_bundle(entry.folder):
        raise UsageError(f"{entry.folder} was not exported: it is yours", hint="remove it as any other file")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError(f"{entry.folder} would be removed", hint="say --yes")
        typer.confirm(f"Remove {entry.folder} ({_size(entry)})?", abort=True, err=True)
    remove_bundle(entry.folder)
    typer.echo(f"removed {entry.folder}", err=True)


def _store(folders: list[Path] | None, extra: list[Path] | None = None) -> ModelStore:
    import os

    from onnxflow.settings import load_settings, store_of

    settings = load_settings(folders or (), extra=extra or (), environment=os.environ, working_dir=Path.cwd())
    return store_of(settings)


def _row(entry: Entry) -> tuple[str, str, str, str, str]:
    from onnxflow.models.bundle import is_bundle
    from onnxflow.models.foreign import NAMED

    if entry.manifest is None:
        return entry.name, "not usable", "", _size(entry), str(entry.folder)
    note = f" ({NAMED})" if entry.manifest.foreign else "" if is_bundle(entry.folder) else " (as it is)"
    precisions = ", ".join(entry.manifest.variants) + note
    return entry.name, entry.manifest.family, precisions, _size(entry), str(entry.folder)


def _networks(store: ModelStore) -> list[tuple[str, str, str, str, str]]:
    """What lies in the folders of single networks, by the kind that it lies under; nothing of it is read."""
    from onnxflow.models.folders import DIFFUSERS, DIFFUSION_MODELS, TEXT_ENCODERS, VAE

    kinds = (DIFFUSERS, DIFFUSION_MODELS, TEXT_ENCODERS, VAE)
    found = [(kind, store.find(kind, name)) for kind in kinds for name in store.names(kind)]
    return [(one.name, f"({kind})", "", _bytes(one.path), str(one.path)) for kind, one in found]


def _size(entry: Entry) -> str:
    return _bytes(entry.folder)


def _bytes(folder: Path) -> str:
    """What the files of a model take on disk."""
    from onnxflow.memory import size

    files = folder.rglob("*") if folder.is_dir() else [folder]
    return size(sum(path.stat().st_size for path in files if path.is_file()))

"""Where a bundle may be put."""

from pathlib import Path

from onnxflow.errors import ModelError, OutputError, UsageError
from onnxflow.models.bundle import read_manifest
from onnxflow.models.manifest import FILE_NAME


def check_target(source: Path, bundle: Path) -> Path:
    """The bundle's full path; UsageError for a place within the model itself or without a name, OutputError for one
    where something else is."""
    bundle = bundle.resolve()  # its neighbours are named after it, so "." and ".." need their names
    if not bundle.name:
        raise UsageError("the bundle needs a folder of its own", where=str(bundle), hint="add a name to --output")
    if bundle == source.resolve() or source.resolve() in bundle.parents:
        raise UsageError(
            "the bundle would be written into the model itself", where=str(bundle), hint="choose another folder"
        )
    if bundle in source.resolve().parents:  # an older bundle is removed when the new one takes its place
        raise UsageError(
            "the model lies in the folder that the bundle would replace",
            where=str(bundle),
            hint="choose another folder",
        )
    if bundle.exists() and not (bundle / FILE_NAME).is_file() and (not bundle.is_dir() or any(bundle.iterdir())):
        raise OutputError(
            "there is something else in the bundle's place", where=str(bundle), hint="choose an empty or new folder"
        )
    if bundle.name.startswith(".") or "@" in bundle.name:  # hidden folders are no models, and @ chooses a precision
        raise UsageError(
            f"no workflow could name a model called {bundle.name!r}",
            where=str(bundle),
            hint="choose a name that does not begin with a dot and has no @",
        )
    _check_older(bundle)
    return bundle


def describe(bundle: Path) -> str:
    """The precisions of an older bundle, for people."""
    try:
        return ", ".join(read_manifest(bundle).variants)
    except ModelError:
        return "which this version cannot read"


def _check_older(bundle: Path) -> None:
    """OutputError when files that are not the older bundle's would be removed with it."""
    try:
        known = read_manifest(bundle).files
    except ModelError:  # not there, damaged, or of another version: whose files these are cannot be told
        return
    for path in sorted(bundle.rglob("*")):
        name = path.relative_to(bundle).as_posix()
        if path.is_file() and name != FILE_NAME and name not in known and not path.name.startswith("."):
            raise OutputError(
                f"the older bundle's folder has another file, {name}, which would be removed with it",
                where=str(bundle),
                hint="move it elsewhere, or choose another folder",
            )

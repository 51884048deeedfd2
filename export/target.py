"""Where a bundle may be put."""

from pathlib import Path

from onnxflow.errors import OutputError, UsageError
from onnxflow.export.manifest import FILE_NAME


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
    if bundle.exists() and not (bundle / FILE_NAME).is_file() and (not bundle.is_dir() or any(bundle.iterdir())):
        raise OutputError(
            "there is something else in the bundle's place", where=str(bundle), hint="choose an empty or new folder"
        )
    return bundle

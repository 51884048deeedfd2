"""Which kind of source a path is."""

from pathlib import Path

from onnxflow.errors import ModelError
from onnxflow.export.diffusers_folder import DiffusersFolder
from onnxflow.export.single_file import SingleFile
from onnxflow.export.source import Source

SUFFIXES = (".safetensors", ".sft")


def open_source(path: Path) -> Source:
    """The model at `path`; ModelError when it is neither a folder nor a checkpoint of safetensors."""
    if path.is_dir():
        return DiffusersFolder(path)
    if not path.exists():
        raise ModelError(
            "there is nothing here", where=str(path), hint="name a Diffusers folder or a .safetensors checkpoint"
        )
    if path.suffix.lower() not in SUFFIXES:
        raise ModelError(
            f"the file is no {SUFFIXES[0]}",
            where=str(path),
            hint="pickled checkpoints (.ckpt, .pt) can run code when they are read: convert the file to .safetensors",
        )
    return SingleFile(path)

"""Files that a workflow names: below the input folder, or below the one a suffix such as `` [output]`` names."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from onnxflow.errors import InputError, did_you_mean, shown
from onnxflow.models import file_guard
from onnxflow.models.disk import Folders

_OUTSIDE = (
    "names in workflows come from strangers, so only files inside the folder are read, and no links out of it: copy the"
    " file into the input folder, or make the folder that it lies in the input folder with --input-dir"
)

Wanted = Callable[[str], bool]


def listing(folder: Path, wanted: Wanted) -> tuple[str, ...]:
    """The names of the files directly in ``folder`` that are wanted, sorted; none when there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if wanted(entry.name) and entry.is_file()]
    except OSError:
        return ()
    # Bytes that are no text arrive as surrogates, and a workflow cannot hold those.
    return tuple(sorted(name for name in names if not any("\ud800" <= character <= "\udfff" for character in name)))


def find(name: str, folders: Folders, wanted: Wanted) -> Path:
    """The file a workflow calls ``name``; InputError with the reason or the nearest names when there is none."""
    root, plain = _root(name, folders)
    try:
        parts = file_guard.split(plain)
        path = file_guard.below(root, parts)
        if path.is_file():
            return path
        example = file_guard.below(folders.examples, parts)
        if root == folders.input and example.is_file():
            return example
    except (ValueError, OSError) as error:
        reason = f"cannot be looked up: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise InputError(f"the name {shown(name)} {reason}", where=str(root), hint=_OUTSIDE) from None
    names = listing(root, wanted)
    if len(parts) > 1:
        subfolder = "/".join(parts[:-1])
        names += tuple(f"{subfolder}/{found}" for found in listing(path.parent, wanted))
    if root == folders.input:
        names += listing(folders.examples, wanted)
    hint = did_you_mean(plain, names, what="files") if names else "put the file there, or name its folder (--input-dir)"
    raise InputError(f"there is no file {shown(name)}", where=str(root), hint=hint)


def problem(kind: str, name: object, folders: Folders, wanted: Wanted) -> str | None:
    """Why ``name`` is no file that can be read, on one line that begins as ComfyUI's does, or None."""
    if not isinstance(name, str):
        return f"Invalid {kind} file: {shown(name)} (expected a file name)"
    try:
        find(name, folders, wanted)
    except InputError as error:
        plain = name if name.isprintable() and len(name) <= 120 else shown(name)
        return f"Invalid {kind} file: {plain} ({error.message} in {error.where}; {error.hint})"
    return None


def fingerprint(name: object, folders: Folders, wanted: Wanted) -> str:
    """The SHA-256 of the file's contents, in hex; InputError when it cannot be read.

    A name that only a link will bring has no contents yet: it gets a fingerprint that equals no other.
    """
    if not isinstance(name, str):
        return f"unknown {os.urandom(16).hex()}"
    path = find(name, folders, wanted)
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(name, path, error.strerror or str(error)) from None


def unreadable(name: str, path: Path, cause: str) -> InputError:
    """The error for a file that is there and cannot be used."""
    return InputError(f"cannot read {name!r}: {cause}", where=str(path), hint="replace the file or name another")


def _root(name: str, folders: Folders) -> tuple[Path, str]:
    """The folder a name is relative to, and the name without the suffix that says so."""
    for suffix, root in ((" [input]", folders.input), (" [output]", folders.output), (" [temp]", folders.temp)):
        if name.endswith(suffix):
            return root, name.removesuffix(suffix)
    return folders.input, name

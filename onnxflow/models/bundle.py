"""An exported model: one folder of ONNX graphs with a manifest that says what they expect, or an Optimum or Diffusers
folder of such graphs, whose own files say it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnxflow.errors import ModelError, did_you_mean, shown
from onnxflow.models import file_guard
from onnxflow.models.foreign import is_foreign, read_foreign
from onnxflow.models.graph_file import GraphFile
from onnxflow.models.manifest import FILE_NAME, LARGEST, WIDTHS, Manifest, Variant, parse_manifest
from onnxflow.models.read_ahead import read_ahead
from onnxflow.models.source import Source

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Bundle(Source):
    """A model folder whose manifest was read and whose files are there with the right sizes.

    ``identity`` is the SHA-256 of the manifest (of a foreign folder, of what its files say) and of each file's name,
    size and time of change in nanoseconds when the bundle was opened. Contents are not read: a file changed within its
    size and with its old time set back is not noticed. A copy that keeps the times has the identity of the original,
    but is another bundle (``root``).
    """

    def path(self, name: str) -> Path:
        """The file ``name`` of the bundle; ModelError when the manifest does not list it."""
        if name not in self.manifest.files:
            raise ModelError(
                f"the bundle has no file {name!r}",
                where=str(self.root),
                hint=did_you_mean(name, self.manifest.files, what="files"),
            )
        return self.root / name

    def read_ahead(self, component: str) -> None:
        """Have the weights of a component read from the disk, which will be wanted soon."""
        found = Path(self._variant(component, self.variant_of(component)).file).with_suffix(".bin").as_posix()
        if found in self.manifest.files:
            read_ahead(self.root / found, [(0, self.manifest.files[found].size)])

    def weight_bytes(self, component: str, variant: str) -> int:
        """Bytes of a variant's graph and of the file of weights beside it; ModelError."""
        graph = Path(self._variant(component, variant).file)
        names = (graph.as_posix(), graph.with_suffix(".bin").as_posix())
        return sum(self.manifest.files[name].size for name in names if name in self.manifest.files)

    def parameters(self, component: str, variant: str) -> int:
        """How many numbers a component's weights are, where their file can be used as it is; else 0. ModelError."""
        found = self._variant(component, variant)
        return self.weight_bytes(component, variant) // WIDTHS.get(found.storage, 4) if found.direct else 0

    def graph(self, component: str, variant: str) -> GraphFile:
        """The ONNX file of a component in one precision; ModelError names what there is."""
        found = self._variant(component, variant)
        return GraphFile(self.path(found.file), direct=found.direct)

    def token_table(self, component: str) -> NDArray[Any] | None:
        """The table of a text encoder's tokens [vocabulary, width], mapped from its file; None where the graph looks
        tokens up itself; ModelError when it is damaged or of another shape."""
        import numpy as np  # checking a workflow names its models, and needs no numbers

        text = self.text(component)
        if text.token_embedding is None:
            return None
        path = self.path(text.token_embedding)
        try:
            table: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
        except Exception as error:  # numpy reads the header with Python's parser and passes on whatever that raises
            raise ModelError(
                f"the token table cannot be read: {str(error) or type(error).__name__}",
                where=str(path),
                hint="export the model again",
            ) from None
        if table.shape != (text.vocab, text.hidden) or table.dtype.kind != "f":
            raise ModelError(
                f"the token table is {table.dtype} {list(table.shape)}, expected floats {[text.vocab, text.hidden]}",
                where=str(path),
                hint="export the model again",
            )
        return table

    def _variant(self, component: str, variant: str) -> Variant:
        variants = self.component(component).variants
        if variant not in variants:
            raise ModelError(
                f"the model's {component} has no variant {variant!r}",
                where=str(self.root),
                hint=did_you_mean(variant, variants, what="variants"),
            )
        return variants[variant]


def is_bundle(folder: Path) -> bool:
    """Whether ``folder`` holds a manifest or is a foreign folder; False when that cannot be found out."""
    return has_manifest(folder) or is_foreign(folder)


def has_manifest(folder: Path) -> bool:
    """Whether ``folder`` holds a manifest; False when that cannot be found out."""
    return os.path.isfile(folder / FILE_NAME)


def open_bundle(folder: Path, preferred: str | None = None) -> Bundle:
    """The bundle in ``folder``, in the ``preferred`` variant where it has it.

    ModelError when the manifest is unreadable, a file missing, outside or truncated, or no component has the variant.

    Sizes are compared with the manifest's, in a few system calls: hashing gigabytes at every start would cost seconds.
    Links are followed, since download tools keep a model's files elsewhere and link to them.
    """
    data, manifest = _read(folder)
    if preferred is not None and preferred not in manifest.variants:
        raise ModelError(
            f"the model has no variant {shown(preferred)}",
            where=str(folder),
            hint=did_you_mean(preferred, manifest.variants, what="variants"),
        )
    seen = []
    for name, record in sorted(manifest.files.items()):
        _check_name(name, folder)
        try:
            status = (folder / name).stat()
        except OSError:
            raise ModelError(
                f"the model's file {name} is missing", where=str(folder), hint="copy the whole folder, or export again"
            ) from None
        if status.st_size != record.size:
            raise ModelError(
                f"the model's file {name} has {status.st_size:,} bytes, the manifest says {record.size:,}",
                where=str(folder),
                hint="the file is truncated or was changed: copy the folder again, or export again",
            )
        seen.append((name, status.st_size, status.st_mtime_ns))
    identity = hashlib.sha256(data + b"\0" + json.dumps(seen).encode())
    return Bundle(root=folder, identity=identity.hexdigest(), manifest=manifest, preferred=preferred)


def read_manifest(folder: Path) -> Manifest:
    """What the manifest in ``folder`` says, without a look at its files, or what a foreign folder's files say;
    ModelError when it is unreadable."""
    return _read(folder)[1]


def _read(folder: Path) -> tuple[bytes, Manifest]:
    """The manifest, and bytes that are the same for the same one."""
    path = folder / FILE_NAME
    if not has_manifest(folder) and is_foreign(folder):
        manifest = read_foreign(folder)
        return repr(manifest).encode(), manifest
    data = _read_bytes(path)
    return data, parse_manifest(data, str(path))


def _read_bytes(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise ModelError(f"cannot read the model's manifest: {error.strerror}", where=str(path)) from None
    if len(data) > LARGEST:
        raise ModelError(
            f"the model's manifest has more than {LARGEST:,} bytes",
            where=str(path),
            hint="this is no manifest that onnxflow wrote: export the model again",
        )
    return data


def _check_name(name: str, folder: Path) -> None:
    if file_guard.is_plain(name):
        return
    try:
        file_guard.split(name)
        reason = "is not written as a plain relative path with forward slashes"
    except ValueError as error:
        reason = str(error)
    raise ModelError(
        f"the manifest names the file {shown(name)}, which {reason}",
        where=str(folder / FILE_NAME),
        hint="a model's files lie in its own folder: get the model from where you trust it, or export it again",
    )

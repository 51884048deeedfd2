"""An exported model: one folder of ONNX graphs with a manifest that says what they expect, or an Optimum or Diffusers
folder of such graphs, whose own files say it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from onnxflow.errors import ModelError, did_you_mean, shown
from onnxflow.models import file_guard
from onnxflow.models.foreign import is_foreign, read_foreign
from onnxflow.models.manifest import (
    FILE_NAME,
    LARGEST,
    Component,
    LatentFormat,
    Manifest,
    SamplingConstants,
    TextConstants,
    parse_manifest,
)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model folder whose manifest was read and whose files are there with the right sizes.

    ``identity`` is the SHA-256 of the manifest (of a foreign folder, of what its files say) and of each file's name,
    size and time of change in nanoseconds when the bundle was opened. Contents are not read: a file changed within its
    size and with its old time set back is not noticed. A copy that keeps the times has the identity of the original,
    but is another bundle (``root``). ``preferred`` is the variant that was asked for; None leaves each component its
    default. It is no part of the identity: what both variants share is loaded once.
    """

    root: Path
    identity: str
    manifest: Manifest = field(compare=False, repr=False)
    preferred: str | None = None

    @property
    def name(self) -> str:
        """The model's own name."""
        return self.manifest.name

    @property
    def latent(self) -> LatentFormat:
        """What its latents look like."""
        return self.manifest.latent

    @property
    def sampling(self) -> SamplingConstants:
        """What its network predicts."""
        return self.manifest.sampling

    def text(self, component: str = "text_encoder") -> TextConstants:
        """What a text encoder expects; ModelError when the model has none of this name."""
        found = self.manifest.texts.get(component)
        if found is None:
            raise ModelError(
                f"the model has no {component}",
                where=str(self.root),
                hint=did_you_mean(component, self.manifest.texts, what="text encoders"),
            )
        return found

    def path(self, name: str) -> Path:
        """The file ``name`` of the bundle; ModelError when the manifest does not list it."""
        if name not in self.manifest.files:
            raise ModelError(
                f"the bundle has no file {name!r}",
                where=str(self.root),
                hint=did_you_mean(name, self.manifest.files, what="files"),
            )
        return self.root / name

    def component(self, name: str) -> Component:
        """The network ``name``; ModelError names those there are."""
        found = self.manifest.components.get(name)
        if found is None:
            raise ModelError(
                f"the model has no {name}",
                where=str(self.root),
                hint=did_you_mean(name, self.manifest.components, what="components"),
            )
        return found

    def interface(self, component: str) -> str:
        """Whose names a component's graph has for its inputs and outputs, one of manifest.INTERFACES; ModelError."""
        return self.component(component).interface

    def variants(self, component: str) -> tuple[str, ...]:
        """The variants a component has, its default first; ModelError."""
        found = self.component(component)
        return (found.default, *(name for name in found.variants if name != found.default))

    def variant_of(self, component: str) -> str:
        """The variant a component is run in: the preferred one where it has that, else its default; ModelError."""
        names = self.variants(component)
        return self.preferred if self.preferred in names else names[0]

    def weight_bytes(self, component: str, variant: str) -> int:
        """Bytes of a variant's graph and of the file of weights beside it; ModelError."""
        graph = self.graph(component, variant).relative_to(self.root)
        names = (graph.as_posix(), graph.with_suffix(".bin").as_posix())
        return sum(self.manifest.files[name].size for name in names if name in self.manifest.files)

    def graph(self, component: str, variant: str) -> Path:
        """The ONNX file of a component in one precision; ModelError names what there is."""
        variants = self.component(component).variants
        if variant not in variants:
            raise ModelError(
                f"the model's {component} has no variant {variant!r}",
                where=str(self.root),
                hint=did_you_mean(variant, variants, what="variants"),
            )
        return self.path(variants[variant].file)


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

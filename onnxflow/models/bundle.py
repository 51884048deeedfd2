"""An exported model: one folder of ONNX graphs with a manifest that says what they expect."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from onnxflow.errors import ModelError, did_you_mean
from onnxflow.models.manifest import FILE_NAME, LatentFormat, Manifest, SamplingConstants, TextConstants, parse_manifest


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model folder whose manifest was read and whose files are there with the right sizes.

    ``identity`` is the SHA-256 of the manifest, which holds the SHA-256 of every file: two bundles with one identity
    hold the same weights.
    """

    root: Path = field(compare=False)
    identity: str
    manifest: Manifest = field(compare=False, repr=False)

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

    @property
    def text(self) -> TextConstants:
        """What its text encoder expects."""
        return self.manifest.text

    def path(self, name: str) -> Path:
        """The file ``name`` of the bundle; ModelError when the manifest does not list it."""
        if name not in self.manifest.files:
            raise ModelError(
                f"the bundle has no file {name!r}",
                where=str(self.root),
                hint=did_you_mean(name, self.manifest.files, what="files"),
            )
        return self.root / name

    def graph(self, component: str, variant: str) -> Path:
        """The ONNX file of a component in one precision; ModelError names what there is."""
        found = self.manifest.components.get(component)
        if found is None:
            raise ModelError(
                f"the model has no {component}",
                where=str(self.root),
                hint=did_you_mean(component, self.manifest.components, what="components"),
            )
        if variant not in found.variants:
            raise ModelError(
                f"the model's {component} has no variant {variant!r}",
                where=str(self.root),
                hint=did_you_mean(variant, found.variants, what="variants"),
            )
        return self.path(found.variants[variant].file)


def is_bundle(folder: Path) -> bool:
    """Whether ``folder`` holds a manifest."""
    return (folder / FILE_NAME).is_file()


def open_bundle(folder: Path) -> Bundle:
    """The bundle in ``folder``; ModelError when the manifest is unreadable or a file is missing, outside or truncated.

    Only sizes are compared here, in a few system calls: hashing gigabytes at every start would cost seconds.
    """
    try:
        data = (folder / FILE_NAME).read_bytes()
    except OSError as error:
        raise ModelError(f"cannot read the model's manifest: {error.strerror}", where=str(folder / FILE_NAME)) from None
    manifest = parse_manifest(data, str(folder / FILE_NAME))
    for name, record in manifest.files.items():
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
            raise ModelError(f"the manifest names {name!r}, which leaves the model's folder", where=str(folder))
        try:
            size = (folder / name).stat().st_size
        except OSError:
            raise ModelError(
                f"the model's file {name} is missing", where=str(folder), hint="copy the whole folder, or export again"
            ) from None
        if size != record.size:
            raise ModelError(
                f"the model's file {name} has {size:,} bytes, the manifest says {record.size:,}",
                where=str(folder),
                hint="the file is truncated or was changed: copy the folder again, or export again",
            )
    return Bundle(root=folder, identity=hashlib.sha256(data).hexdigest(), manifest=manifest)

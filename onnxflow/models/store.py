"""The models there are: the embedded one, and those in the user's model folders under ComfyUI's folder names."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnxflow.errors import ModelError, did_you_mean, shown
from onnxflow.models import file_guard
from onnxflow.models.bundle import has_manifest, is_bundle, open_bundle, read_manifest
from onnxflow.models.manifest import Manifest
from onnxflow.models.source import Source

EMBEDDED_NAME = "onnxflow-tiny"
CHECKPOINT_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pth", ".bin")
SAFE_SUFFIXES = CHECKPOINT_SUFFIXES[:2]


def embedded_folder() -> Path:
    """Where the embedded model lies inside the installed package."""
    return Path(__file__).resolve().parent.parent / "assets" / "tiny"


@dataclass(frozen=True, slots=True)
class _Found:
    """What a name stands for: the bundle's own name (with its variant), its folder, the variant asked for."""

    name: str
    folder: Path
    variant: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as it lies on disk: its name in workflows, its folder, what its manifest says, or what is wrong with
    it."""

    name: str
    folder: Path
    manifest: Manifest | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Model folders in order of precedence; below each, ComfyUI's folder names (``checkpoints`` and so on).

    A bundle's name is its path below ``checkpoints`` with forward slashes; ``NAME@VARIANT`` is the bundle NAME with its
    components in that variant where they have it, unless a bundle is called just that. Links in these folders are
    followed: the user made them. Names come from workflows: none is looked up that would leave ``checkpoints``. What
    has a part that begins with a dot is no model: an export or a removal that was killed leaves such folders. Nothing
    is cached: a model put there while the program runs is found at the next question.
    """

    roots: tuple[Path, ...] = ()

    def checkpoints(self) -> list[str]:
        """The names of all models with text encoder, network and VAE, sorted; the embedded one comes first.

        Each is followed by its names with a variant that changes something. Reads the manifests and nothing else.
        """
        found = {name for root in self.roots for name in _bundles(root / "checkpoints")}
        names = [EMBEDDED_NAME, *sorted(found - {EMBEDDED_NAME})]
        return list(dict.fromkeys(spelled for name in names for spelled in (name, *self._alternatives(name))))

    def entries(self) -> list[Entry]:
        """Every model once, under its name without a variant; the embedded one comes first. Damaged ones are there."""
        found = {name for root in self.roots for name in _bundles(root / "checkpoints")}
        return [self.entry(name) for name in (EMBEDDED_NAME, *sorted(found - {EMBEDDED_NAME}))]

    def entry(self, name: str) -> Entry:
        """The model of exactly this name; ModelError with the nearest names when there is none."""
        folder = self._folder(name)
        if folder is None:
            raise ModelError(f"there is no model {shown(name)}", hint=self.missing_hint(name))
        try:
            return Entry(name, folder, open_bundle(folder).manifest)
        except ModelError as error:
            return Entry(name, folder, None, error.message)

    def resolve(self, name: str) -> str | None:
        r"""The model that a saved workflow calls ``name``, with its variant if ``name`` says one, or None.

        Without a model of exactly this name, ``sub\mine`` and ``sub/mine.safetensors`` (any suffix of a checkpoint, in
        any case) mean the bundle ``sub/mine``, which was exported from that file; so do they before ``@VARIANT``.
        """
        found = self._find(name)
        return found.name if found is not None else None

    def checkpoint(self, name: str) -> Source:
        """The model that ``resolve`` finds; ModelError with the nearest names when there is none."""
        found = self._find(name)
        if found is None:
            raise ModelError(f"there is no model {shown(name)}", hint=self.missing_hint(name))
        return open_bundle(found.folder, found.variant)

    def missing_hint(self, name: str) -> str:
        """What to do about the missing model ``name``: the nearest names, or how to export the file that lies there."""
        try:
            parts = file_guard.split(name)
        except ValueError as reason:
            return f"the name {reason}: use one relative to checkpoints/, such as {EMBEDDED_NAME!r}"
        if (hint := self._export_hint(parts)) is not None:
            return hint
        base, at, variant = "/".join(parts).rpartition("@")
        if at and file_guard.is_plain(base) and (hint := self._export_hint(base.split("/"))) is not None:
            return hint
        known = self._without_variant(base)
        if known is not None:
            try:
                variants = read_manifest(known.folder).variants
            except ModelError as error:
                return f"the variants of {known.name!r} are not known: {error.message}"
            return f"the model {known.name!r} has no variant {shown(variant)}; variants: {', '.join(variants)}"
        searched = ", ".join(str(root / "checkpoints") for root in self.roots) or "no model folder is set, see --models"
        nearest = did_you_mean(without_suffix("/".join(parts)), self.checkpoints(), what="models")
        return f"{nearest} (searched: {searched})"

    def _export_hint(self, parts: Sequence[str]) -> str | None:
        """What to do about a checkpoint file below ``checkpoints`` that is named like a model, if there is one."""
        for root in self.roots:
            file = root.joinpath("checkpoints", *parts)
            if file.suffix.lower() in CHECKPOINT_SUFFIXES and os.path.isfile(file):
                source = file if file.suffix.lower() in SAFE_SUFFIXES else "FILE.safetensors"
                pickled = "" if source == file else " (convert it to .safetensors first: a pickle can run code)"
                return (
                    f"{file} is a checkpoint file{pickled}; this version runs exported models: export it with "
                    f"`onnxflow export {source} -o {file.with_suffix('')}`"
                )
        return None

    def _find(self, name: str) -> _Found | None:
        """What ``name`` means: a bundle of this name or this name without a suffix, else a variant of such a bundle."""
        try:
            plain = "/".join(file_guard.split(name))
        except ValueError:
            return None
        if (found := self._without_variant(plain)) is not None:
            return found
        base, _, variant = plain.rpartition("@")
        known = self._without_variant(base)
        manifest = _manifest(known.folder) if known is not None else None
        if known is None or manifest is None or variant not in manifest.variants:
            return None
        return _Found(f"{known.name}@{variant}", known.folder, variant)

    def _without_variant(self, plain: str) -> _Found | None:
        """The bundle of this plain name, or of this name without a suffix."""
        for name in (plain, without_suffix(plain)):
            if (folder := self._folder(name)) is not None:
                return _Found(name, folder)
        return None

    def _alternatives(self, name: str) -> list[str]:
        """A bundle's names with a variant, as far as a workflow can use them; none if its manifest is unreadable, or if
        it is a foreign folder, which has each graph once."""
        folder = self._folder(name)
        manifest = _manifest(folder) if folder is not None and has_manifest(folder) else None
        names = [f"{name}@{variant}" for variant in manifest.alternatives] if manifest is not None else []
        return [spelled for spelled in names if file_guard.is_plain(spelled)]

    def _folder(self, name: str) -> Path | None:
        """The bundle of exactly this plain name: the user's before the embedded one."""
        if not file_guard.is_plain(name) or any(part.startswith(".") for part in name.split("/")):
            return None
        for root in self.roots:
            folder = root / "checkpoints" / name
            if is_bundle(folder):
                return folder
        return embedded_folder() if name == EMBEDDED_NAME else None


def without_suffix(name: str) -> str:
    """``name`` without the suffix of a checkpoint file, if it has one."""
    return next((name[: -len(s)] for s in CHECKPOINT_SUFFIXES if name.lower().endswith(s)), name)


def _manifest(folder: Path) -> Manifest | None:
    """The manifest of a bundle, or None when it is unreadable: whoever opens the bundle says why."""
    try:
        return read_manifest(folder)
    except ModelError:
        return None


def _bundles(folder: Path) -> Iterator[str]:
    """The name of every bundle below ``folder``; every folder is entered once, by its own path before any link to it.

    What lies inside a bundle belongs to it. Names that a workflow could not use for a bundle are left out.
    """
    visited: set[tuple[int, int]] = set()
    real, links = [folder], list[Path]()
    while real or links:
        current = (real or links).pop(0)
        try:
            status = current.stat()
            with os.scandir(current) as entries:
                shown = (entry for entry in entries if not entry.name.startswith("."))
                below = sorted((entry.name, entry.is_symlink()) for entry in shown if os.path.isdir(entry.path))
        except OSError:
            continue  # not there, not ours to read, or a loop of links
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        for entry, is_link in below:
            path = current / entry
            if not is_bundle(path):
                (links if is_link else real).append(path)
            elif file_guard.is_plain(name := path.relative_to(folder).as_posix()):
                yield name

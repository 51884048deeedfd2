"""The models there are: the embedded one, and those in the user's model folders under ComfyUI's folder names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from onnxflow.errors import ModelError, did_you_mean, shown
from onnxflow.models import file_guard
from onnxflow.models.bundle import has_manifest, open_bundle, read_manifest
from onnxflow.models.folders import (
    CHECKPOINTS,
    DIFFUSERS,
    DIFFUSION_MODELS,
    EMBEDDINGS,
    NO_EXTRA,
    TEXT_ENCODERS,
    VAE,
    ExtraPaths,
    folders_of,
)
from onnxflow.models.listing import BUNDLE, FILE, PIPELINE, without_suffix
from onnxflow.models.manifest import Manifest
from onnxflow.models.search import Found, alike, every, exact, pickled, same_stem

if TYPE_CHECKING:
    from onnxflow.models.source import Source

EMBEDDED_NAME: Final = "onnxflow-tiny"
_PICKLE: Final = (
    "a pickle can run code when it is read: get the model as .safetensors, or convert it where you trust it"
    " (with torch.load(..., weights_only=True) and safetensors.torch.save_file)"
)


def embedded_folder() -> Path:
    """Where the embedded model lies inside the installed package."""
    return Path(__file__).resolve().parent.parent / "assets" / "tiny"


@dataclass(frozen=True, slots=True)
class _Named:
    """What a name of a checkpoint stands for: the model, and the variant that the name asks for."""

    found: Found
    variant: str | None = None

    @property
    def name(self) -> str:
        """The name that workflows here would use."""
        return self.found.name + (f"@{self.variant}" if self.variant else "")


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as it lies on disk: its name in workflows, its folder or file, what its manifest says (of a checkpoint,
    what its tensors say), or what is wrong with it."""

    name: str
    folder: Path
    manifest: Manifest | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class ModelStore:
    """Model folders in order of precedence; below each, ComfyUI's folder names (``checkpoints`` and so on); and the
    folders that an extra_model_paths.yaml adds.

    A model is a bundle that was exported, a .safetensors file, or a Diffusers folder. Its name is its path below the
    folder of its kind, with forward slashes; ``NAME@VARIANT`` is the bundle NAME with its components in that variant
    where they have it, unless a bundle is called just that. ``renamed`` has the names of models that a workflow calls
    otherwise; one of checkpoints may stand there for a network in a file of its own. Links in these folders are
    followed: the user made them. Names come from workflows: none is looked up that would leave its folder. What has a
    part that begins with a dot is no model: an export or a removal that was killed leaves such folders. Nothing is
    cached: a model put there while the program runs is found at the next question. ``templates`` is the folder of the
    graphs that checkpoints run in, None for the package's own.
    """

    roots: tuple[Path, ...] = ()
    extra: ExtraPaths = NO_EXTRA
    renamed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    templates: Path | None = None

    def folders(self, kind: str) -> tuple[Path, ...]:
        """Where models of a kind are looked for, in order."""
        return folders_of(kind, self.roots, self.extra)

    def names(self, kind: str) -> list[str]:
        """The names of the models of a kind, sorted; of checkpoints without their variants and the embedded one."""
        return sorted(found.name for found in every(self.folders(kind)))

    def checkpoints(self) -> list[str]:
        """The names of all models with text encoder, network and VAE, sorted; the embedded one comes first.

        Each is followed by its names with a variant that changes something. Reads the manifests and nothing else.
        """
        listed = {found.name: found for found in self._checkpoints()}
        return list(dict.fromkeys(spelled for name in listed for spelled in (name, *_alternatives(listed[name]))))

    def entries(self) -> list[Entry]:
        """Every model once, under its name without a variant; the embedded one comes first. Damaged ones are there."""
        return [self._entry(found) for found in self._checkpoints()]

    def entry(self, name: str) -> Entry:
        """The model of exactly this name; ModelError with the nearest names when there is none."""
        found = self._exactly(name)
        if found is None:
            raise ModelError(f"there is no model {shown(name)}", hint=self.missing_hint(name))
        return self._entry(found)

    def resolve(self, name: str) -> str | None:
        r"""The model that a saved workflow calls ``name``, with its variant if ``name`` says one, or None.

        Without a model of exactly this name, ``sub\mine`` and ``sub/mine.safetensors`` (any suffix of a checkpoint)
        mean a model ``sub/mine``, or one of that stem; else one that differs in the case of its letters; else, where
        the name is a file's, the only one whose last part it is. So do they before ``@VARIANT``.
        """
        found = self._named(name)
        return found.name if found is not None else None

    def checkpoint(self, name: str) -> Source:
        """The model that ``resolve`` finds; ModelError with the nearest names when there is none."""
        named = self._named(name)
        if named is None:
            raise ModelError(f"there is no model {shown(name)}", hint=self.missing_hint(name))
        return self._open(named.found, named.variant)

    def find(self, kind: str, name: str) -> Found:
        """The model of a kind that a saved workflow calls ``name``, by the rules of ``resolve``; ModelError."""
        found = self._found(kind, name)
        if found is None:
            raise ModelError(f"there is no model {shown(name)} in {kind}", hint=self.missing_hint(name, kind))
        return found

    def diffusers(self, name: str) -> Source:
        """A Diffusers folder; ModelError."""
        return self._open(self.find(DIFFUSERS, name), None)

    def unet(self, name: str) -> Source:
        """A denoiser in a file of its own, or that of a whole model in a folder; ModelError."""
        from onnxflow.models.loose import open_unet  # checking a workflow needs no numbers

        found = self.find(DIFFUSION_MODELS, name)
        return open_unet(found.path, self.templates) if found.what == FILE else self._open(found, None)

    def vae(self, name: str) -> Source:
        """An autoencoder in a file of its own, or that of a whole model in a folder; ModelError."""
        from onnxflow.models.loose import open_vae

        found = self.find(VAE, name)
        return open_vae(found.path, self.templates) if found.what == FILE else self._open(found, None)

    def clip(self, *names: str) -> Source:
        """Text encoders in files of their own, or those of a whole model in a folder; ModelError."""
        from onnxflow.models.loose import open_clip

        found = [self.find(TEXT_ENCODERS, name) for name in names]
        if len(found) == 1 and found[0].what != FILE:
            return self._open(found[0], None)
        for one in found:
            if one.what != FILE:
                raise ModelError(
                    f"{shown(one.name)} is a whole model, and no file of one text encoder",
                    where=str(one.path),
                    hint="choose two .safetensors files; CLIPLoader and CheckpointLoaderSimple load a whole model's",
                )
        return open_clip([one.path for one in found], self.templates)

    def missing_hint(self, name: str, kind: str = CHECKPOINTS) -> str:
        """What to do about the missing model ``name``: the nearest names, or why the file that lies there is none."""
        mapped = self._mapped(name)
        if mapped != name:
            said = ModelStore(self.roots, self.extra).missing_hint(mapped, kind)
            return f"--map-model takes {shown(mapped)} for it, which is not there: {said}"
        try:
            plain = "/".join(file_guard.split(name))
        except ValueError as reason:
            return f"the name {reason}: use one relative to {kind}/, such as {EMBEDDED_NAME!r}"
        folders = self.folders(kind)
        base, at, variant = plain.rpartition("@")
        for spelled in (plain, base) if at else (plain,):
            if (file := pickled(folders, spelled)) is not None:
                return f"{file} is a pickle; {_PICKLE}"
        several = alike(folders, plain)
        if len(several) > 1:
            return f"it may be any of {', '.join(found.name for found in several)}: name one of them in full"
        known = self._without_variant(base) if at and kind == CHECKPOINTS else None
        if known is not None:
            return _variants_hint(known, variant)
        searched = ", ".join(map(_with_absence, folders)) or "no model folder is set, see --models"
        names = self.checkpoints() if kind == CHECKPOINTS else self.names(kind)
        nearest = did_you_mean(without_suffix(plain), names, what="models") if names else "there are none"
        return f"{nearest} (searched: {searched})"

    def embeddings(self) -> tuple[Path, ...]:
        """Where textual-inversion embeddings lie."""
        return self.folders(EMBEDDINGS)

    def _mapped(self, name: str) -> str:
        return self.renamed.get(_key(name), name)

    def _checkpoints(self) -> list[Found]:
        """Every model that holds all networks, sorted, the embedded one first."""
        found = {one.name: one for one in every(self.folders(CHECKPOINTS))}
        found.setdefault(EMBEDDED_NAME, _embedded())
        return sorted(found.values(), key=lambda one: (one.name != EMBEDDED_NAME, one.name))

    def _named(self, name: str) -> _Named | None:
        """What the name of a checkpoint means: a model of this name, or a variant of one."""
        try:
            plain = "/".join(file_guard.split(self._mapped(name)))
        except ValueError:
            return None
        for find in (self._without_variant, self._like):
            if (found := find(plain)) is not None:
                return _Named(found)
            base, _, variant = plain.rpartition("@")
            known = find(base) if base else None
            manifest = _manifest(known.path) if known is not None and known.what == BUNDLE else None
            if known is not None and manifest is not None and variant in manifest.variants:
                return _Named(known, variant)
        return None

    def _found(self, kind: str, name: str) -> Found | None:
        try:
            plain = "/".join(file_guard.split(self._mapped(name)))
        except ValueError:
            return None
        folders = self.folders(kind)
        found = same_stem(folders, plain)
        several = alike(folders, plain) if found is None else []
        if found is None and len(several) != 1 and _key(name) in self.renamed:
            named = self._named(name)  # a whole model stands in for a part of one, if somebody says so
            return named.found if named is not None else None
        return several[0] if len(several) == 1 else found

    def _exactly(self, plain: str) -> Found | None:
        """The checkpoint of exactly this name: the user's before the embedded one."""
        found = exact(self.folders(CHECKPOINTS), plain)
        return _embedded() if found is None and plain == EMBEDDED_NAME else found

    def _without_variant(self, plain: str) -> Found | None:
        """The checkpoint of this plain name, or of this stem."""
        found = same_stem(self.folders(CHECKPOINTS), plain)
        return _embedded() if found is None and without_suffix(plain) == EMBEDDED_NAME else found

    def _like(self, plain: str) -> Found | None:
        """The only checkpoint that a plain name may mean."""
        several = alike(self.folders(CHECKPOINTS), plain)
        return several[0] if len(several) == 1 else None

    def _entry(self, found: Found) -> Entry:
        try:
            return Entry(found.name, found.path, self._open(found, None).manifest)
        except ModelError as error:
            return Entry(found.name, found.path, None, error.message)

    def _open(self, found: Found, variant: str | None) -> Source:
        if found.what == BUNDLE:
            return open_bundle(found.path, variant)
        if found.what == FILE:
            from onnxflow.models.checkpoint import open_checkpoint  # checking a workflow needs no numbers

            return open_checkpoint(found.path, self.templates)
        from onnxflow.models.diffusers_folder import open_diffusers

        return open_diffusers(found.path, self.templates)


def _with_absence(folder: Path) -> str:
    """A folder that was searched; one that is not there is called so: --models may name the wrong level."""
    return str(folder) if folder.is_dir() else f"{folder}, which is not there"


def _key(name: str) -> str:
    """A name as --map-model compares it: in letters of any case, with any slashes."""
    return name.replace("\\", "/").strip("/").lower()


def renamed(pairs: Mapping[str, str]) -> Mapping[str, str]:
    """The names of a store's ``renamed``, by which names are compared."""
    return MappingProxyType({_key(old): new for old, new in pairs.items()})


def _embedded() -> Found:
    return Found(EMBEDDED_NAME, embedded_folder(), BUNDLE)


def _alternatives(found: Found) -> list[str]:
    """A bundle's names with a variant, as far as a workflow can use them; none if its manifest is unreadable, or if it
    is a foreign folder, which has each graph once."""
    manifest = _manifest(found.path) if found.what == BUNDLE and has_manifest(found.path) else None
    names = [f"{found.name}@{variant}" for variant in manifest.alternatives] if manifest is not None else []
    return [spelled for spelled in names if file_guard.is_plain(spelled)]


def _variants_hint(known: Found, variant: str) -> str:
    """What to say of a variant that a known model does not have."""
    if known.what != BUNDLE:
        what = "a Diffusers folder" if known.what == PIPELINE else "a checkpoint file"
        return f"{known.name!r} is {what}, which runs in fp32: `onnxflow export` makes other precisions of it"
    try:
        variants = read_manifest(known.path).variants
    except ModelError as error:
        return f"the variants of {known.name!r} are not known: {error.message}"
    return f"the model {known.name!r} has no variant {shown(variant)}; variants: {', '.join(variants)}"


def _manifest(folder: Path) -> Manifest | None:
    """The manifest of a bundle, or None when it is unreadable: whoever opens the bundle says why."""
    try:
        return read_manifest(folder)
    except ModelError:
        return None

"""Models by name: whole checkpoints, Diffusers folders, and networks in files of their own."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Final

from onnxflow.errors import ModelError
from onnxflow.models.disk import Disk
from onnxflow.models.folders import DIFFUSERS, DIFFUSION_MODELS, TEXT_ENCODERS, VAE
from onnxflow.models.source import Source
from onnxflow.nodes.context import Context
from onnxflow.nodes.placement import USUAL_DEVICE
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo, Omissible
from onnxflow.values import Clip, Model, Vae

_LATER: Final = "this version loads the text encoders of Stable Diffusion 1.x, 2.x and XL"
_FP8: Final = (
    "this version leaves weights in the type that their file has: choose default, and get a file in FP8 to save room"
)

PIXELS: Final = "pixel_space"
"""ComfyUI's name for no autoencoder at all."""

APPROXIMATE: Final = ("taesd", "taesdxl", "taesd3", "taef1")
"""ComfyUI's names for small autoencoders in vae_approx/."""


def checkpoint_names(disk: Disk) -> list[str]:
    """The models that hold text encoder, network and VAE, at this moment."""
    return disk.store.checkpoints()


def accepts_name(disk: Disk, name: object) -> bool:
    """Whether a saved name stands for a model called otherwise here, as ``mine.safetensors`` does for ``mine``."""
    return isinstance(name, str) and disk.store.resolve(name) is not None


def explain_missing(disk: Disk, name: str) -> str:
    """What to do when there is no model ``name``."""
    return disk.store.missing_hint(name)


def checkpoint_identity(disk: Disk, ckpt_name: str | None = None) -> str:
    """What the loaded model depends on besides its name: the weights that lie under that name now, and their variant.

    A name that only a link will bring has none yet: it gets an identity that equals no other.
    """
    return _identity(disk.store.checkpoint, ckpt_name)


def _identity(load: Callable[[str], Source], name: str | None) -> str:
    if name is None:
        return f"unknown {os.urandom(16).hex()}"
    source = load(name)
    return f"{source.identity} {source.preferred}"


def _of_kind(kind: str) -> Combo:
    """The choice among the models of a kind."""

    def accepts(disk: Disk, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(disk.store.find(kind, name))
        except ModelError:
            return False

    return Combo(
        choices=lambda disk: disk.store.names(kind),
        accepts=accepts,
        explain=lambda disk, name: disk.store.missing_hint(name, kind),
    )


def _no_pixels(name: str) -> str | None:
    return "this version has no denoiser that draws pixels without a VAE: choose a file" if name == PIXELS else None


def _vae_names(disk: Disk) -> list[str]:
    return [*disk.store.names(VAE), PIXELS]


def _explain_vae(disk: Disk, name: str) -> str:
    if name in APPROXIMATE:
        return "this version has no TAESD, which decodes fast and coarsely: choose the VAE of the model's family"
    return disk.store.missing_hint(name, VAE)


CheckpointName = Annotated[str, Combo(choices=checkpoint_names, accepts=accepts_name, explain=explain_missing)]
ConfigName = Annotated[str, Combo(choices=lambda disk: (), accepts=lambda disk, name: True)]
UnetName = Annotated[str, _of_kind(DIFFUSION_MODELS)]
ClipName = Annotated[str, _of_kind(TEXT_ENCODERS)]
FolderName = Annotated[str, _of_kind(DIFFUSERS)]
VaeName = Annotated[str, replace(_of_kind(VAE), choices=_vae_names, explain=_explain_vae, refuse=_no_pixels)]
WeightType = Annotated[
    str,
    Combo(
        ("default", "fp8_e4m3fn", "fp8_e4m3fn_fast", "fp8_e5m2"),
        refuse=lambda name: None if name == "default" else _FP8,
    ),
]
ClipType = Annotated[
    str,
    Combo(
        (
            "stable_diffusion",
            "stable_cascade",
            "sd3",
            "stable_audio",
            "mochi",
            "ltxv",
            "pixart",
            "cosmos",
            "lumina2",
            "wan",
            "hidream",
            "chroma",
            "ace",
            "omnigen2",
            "qwen_image",
            "hunyuan_image",
        ),
        refuse=lambda name: None if name == "stable_diffusion" else f"{_LATER}: choose stable_diffusion",
    ),
]
DualClipType = Annotated[
    str,
    Combo(
        ("sdxl", "sd3", "flux", "hunyuan_video", "hidream", "hunyuan_image"),
        refuse=lambda name: None if name == "sdxl" else f"{_LATER}: choose sdxl",
    ),
]
ClipDevice = Annotated[str, Combo((USUAL_DEVICE, "cpu"), advanced=True), Omissible(tells_default=False)]


def _tell_checkpoint(ctx: Context, name: str) -> None:
    """Say which model a saved name stands for, where that is called otherwise."""
    found = ctx.disk.store.resolve(name)
    if found is not None and found != name:
        ctx.remark(f"{name} is {found} here")


def _tell(ctx: Context, kind: str, name: str) -> None:
    """The same for a network in a file of its own."""
    found = ctx.disk.store.find(kind, name).name
    if found != name:
        ctx.remark(f"{name} is {found} here")


@node(
    "CheckpointLoaderSimple",
    category="loaders",
    display_name="Load Checkpoint",
    fingerprint=checkpoint_identity,
)
def checkpoint_loader_simple(ctx: Context, ckpt_name: CheckpointName) -> tuple[Model, Clip, Vae]:
    """Handles to the three parts of a model; nothing is loaded until a node runs one of them."""
    _tell_checkpoint(ctx, ckpt_name)
    source = ctx.disk.store.checkpoint(ckpt_name)
    return Model(source), Clip(source), Vae(source)


@node(
    "CheckpointLoader",
    category="advanced/loaders",
    display_name="Load Checkpoint With Config (DEPRECATED)",
    deprecated=True,
    fingerprint=checkpoint_identity,
)
def checkpoint_loader(ctx: Context, config_name: ConfigName, ckpt_name: CheckpointName) -> tuple[Model, Clip, Vae]:
    """Handles to the three parts of a model; its own tensors say what a configuration would."""
    _tell_checkpoint(ctx, ckpt_name)
    source = ctx.disk.store.checkpoint(ckpt_name)
    return Model(source), Clip(source), Vae(source)


def _folder_identity(disk: Disk, model_path: str | None = None) -> str:
    return _identity(disk.store.diffusers, model_path)


@node(
    "DiffusersLoader",
    display_name="DiffusersLoader",
    category="advanced/loaders/deprecated",
    fingerprint=_folder_identity,
)
def diffusers_loader(ctx: Context, model_path: FolderName) -> tuple[Model, Clip, Vae]:
    """Handles to the three parts of a Diffusers folder."""
    _tell(ctx, DIFFUSERS, model_path)
    source = ctx.disk.store.diffusers(model_path)
    return Model(source), Clip(source), Vae(source)


def _unet_identity(disk: Disk, unet_name: str | None = None) -> str:
    return _identity(disk.store.unet, unet_name)


@node(
    "UNETLoader",
    category="advanced/loaders",
    display_name="Load Diffusion Model",
    fingerprint=_unet_identity,
)
def unet_loader(ctx: Context, unet_name: UnetName, weight_dtype: WeightType) -> Model:
    """A handle to a denoiser in a file of its own."""
    _tell(ctx, DIFFUSION_MODELS, unet_name)
    return Model(ctx.disk.store.unet(unet_name))


def _clip_identity(disk: Disk, clip_name: str | None = None) -> str:
    return _identity(disk.store.clip, clip_name)


@node("CLIPLoader", category="advanced/loaders", display_name="Load CLIP", fingerprint=_clip_identity)
def clip_loader(ctx: Context, clip_name: ClipName, type: ClipType, device: ClipDevice = USUAL_DEVICE) -> Clip:
    """A handle to a text encoder in a file of its own, which says itself which family's it is."""
    _tell(ctx, TEXT_ENCODERS, clip_name)
    return Clip(ctx.disk.store.clip(clip_name))


def _two_identity(disk: Disk, clip_name1: str | None = None, clip_name2: str | None = None) -> str:
    return f"{_identity(disk.store.clip, clip_name1)} {_identity(disk.store.clip, clip_name2)}"


@node("DualCLIPLoader", category="advanced/loaders", display_name="DualCLIPLoader", fingerprint=_two_identity)
def dual_clip_loader(
    ctx: Context, clip_name1: ClipName, clip_name2: ClipName, type: DualClipType, device: ClipDevice = USUAL_DEVICE
) -> Clip:
    """A handle to SDXL's two text encoders in files of their own, in any order."""
    for name in (clip_name1, clip_name2):
        _tell(ctx, TEXT_ENCODERS, name)
    return Clip(ctx.disk.store.clip(clip_name1, clip_name2))


def _vae_identity(disk: Disk, vae_name: str | None = None) -> str:
    return _identity(disk.store.vae, vae_name)


@node("VAELoader", category="loaders", display_name="Load VAE", fingerprint=_vae_identity)
def vae_loader(ctx: Context, vae_name: VaeName) -> Vae:
    """A handle to an autoencoder in a file of its own, or of a checkpoint of all networks."""
    _tell(ctx, VAE, vae_name)
    return Vae(ctx.disk.store.vae(vae_name))

"""Models by name: CheckpointLoaderSimple."""

from __future__ import annotations

import os
from typing import Annotated

from onnxflow.models.disk import Disk
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo
from onnxflow.values import Clip, Model, Vae


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
    if ckpt_name is None:
        return f"unknown {os.urandom(16).hex()}"
    bundle = disk.store.checkpoint(ckpt_name)
    return f"{bundle.identity} {bundle.preferred}"


CheckpointName = Annotated[str, Combo(choices=checkpoint_names, accepts=accepts_name, explain=explain_missing)]


@node(
    "CheckpointLoaderSimple",
    category="loaders",
    display_name="Load Checkpoint",
    fingerprint=checkpoint_identity,
)
def checkpoint_loader_simple(ctx: Context, ckpt_name: CheckpointName) -> tuple[Model, Clip, Vae]:
    """Handles to the three parts of a model; nothing is loaded until a node runs one of them."""
    source = ctx.disk.store.checkpoint(ckpt_name)
    return Model(source), Clip(source), Vae(source)

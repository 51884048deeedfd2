"""Nodes that read and write latents: SaveLatent, LoadLatent.

A ``.latent`` file is a safetensors file with the tensor ``latent_tensor``; the empty tensor
``latent_format_version_0`` says that it is unscaled.
"""

from __future__ import annotations

import time
from typing import Annotated, Any

import numpy as np

from onnxflow.errors import InputError, ModelError, OutputError
from onnxflow.models.disk import Disk
from onnxflow.models.tensors import encode_tensors, open_tensors
from onnxflow.nodes import input_files, metadata, output_files
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import NodeResult, node
from onnxflow.nodes.widgets import Combo, Hidden, String
from onnxflow.values import Latent

SUFFIX = ".latent"
TENSOR = "latent_tensor"
UNSCALED = "latent_format_version_0"
OLD_SCALE = 0.18215
"""The Stable Diffusion 1 scale that files from before the marker were multiplied by."""


def is_latent(name: str) -> bool:
    """Whether a file of this name holds a latent, going by its suffix."""
    return name.endswith(SUFFIX)


def input_latents(disk: Disk) -> tuple[str, ...]:
    """The latent files in the input folder."""
    return input_files.listing(disk.folders.input, is_latent)


def _validate(disk: Disk, latent: Any = None) -> str | None:
    return None if latent is None else input_files.problem("latent", latent, disk.folders, is_latent)


def _fingerprint(disk: Disk, latent: Any = None) -> str:
    return input_files.fingerprint(latent, disk.folders, is_latent)


def _validate_prefix(disk: Disk, filename_prefix: str | None = None) -> str | None:
    return output_files.problem(disk.folders.output, "output", filename_prefix)


@node(
    "SaveLatent",
    category="_for_testing",
    display_name="SaveLatent",
    output_node=True,
    validate=_validate_prefix,
)
def save_latent(
    ctx: Context,
    samples: Latent,
    filename_prefix: Annotated[str, String()] = "latents/ComfyUI",
    prompt: Annotated[Any, Hidden("PROMPT")] = None,
    extra_pnginfo: Annotated[Any, Hidden("EXTRA_PNGINFO")] = None,
) -> NodeResult:
    """Writes the samples (not the noise mask) with their workflow into the output folder."""
    texts = None
    if ctx.metadata:
        texts = {"prompt": "", **metadata.texts(prompt, extra_pnginfo, ctx.record)}
    place = output_files.target(ctx.disk.folders.output, "output", filename_prefix, now=time.localtime())
    try:
        data = encode_tensors({TENSOR: samples.samples, UNSCALED: np.zeros(0, np.float32)}, texts)
    except ModelError as error:
        raise OutputError(f"the latent cannot be written: {error.message}", hint="run without metadata") from error
    saved = tuple(output_files.save(place, SUFFIX, [data], 1))
    return NodeResult(saved=saved, ui={"latents": [file.as_ui() for file in saved]})


@node("LoadLatent", category="_for_testing", display_name="LoadLatent", validate=_validate, fingerprint=_fingerprint)
def load_latent(ctx: Context, latent: Annotated[str, Combo(choices=input_latents)]) -> Latent:
    """The latent of a file [batch, channels, height, width]; files without the marker are divided by 0.18215."""
    path = input_files.find(latent, ctx.disk.folders, is_latent)
    try:
        file = open_tensors(path)
        samples = file.read(TENSOR).astype(np.float32)
    except ModelError as error:
        raise input_files.unreadable(latent, path, error.message) from error
    if UNSCALED not in file.tensors:
        samples *= np.float32(1.0 / OLD_SCALE)
    if samples.ndim != 4 or not samples.size:
        raise InputError(
            f"the latent in {latent!r} has the shape {list(samples.shape)}",
            where=str(path),
            hint="onnxflow reads latents of pictures: [batch, channels, height, width]",
        )
    return Latent(samples)

"""What is exported: facts of a model that are known before its weights are read, and its networks, one at a time.

A source is a Diffusers folder (diffusers_folder.py) or one file in the original layout (single_file.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from onnxflow.errors import ModelError
from onnxflow.export.work_folder import sha256
from onnxflow.models.manifest import SamplingConstants
from onnxflow.models.pipeline.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import nn

TEXT_PARTS = ("text_encoder", "text_encoder_2")
UNET, VAE = "unet", "vae"


@dataclass(frozen=True, slots=True)
class TextFacts:
    """A text encoder: the component that it is, its tokenizer, and its numbers.

    `projection` is the width of its projected output, None without one; `skipped` is how many last layers of the
    network that it was made of are not there (Stable Diffusion 2.x: one).
    """

    component: str
    tokenizer: Tokenizer
    vocabulary: int
    length: int
    hidden: int
    layers: int
    projection: int | None
    skipped: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What the manifest says of a model; width and height are the pixels it was trained for."""

    name: str
    family: str
    license: str
    width: int
    height: int
    latent_channels: int
    latent_scale: float
    in_channels: int
    sampling: SamplingConstants
    texts: tuple[TextFacts, ...]


class Source(Protocol):
    """A model on disk."""

    @property
    def facts(self) -> Facts:
        """What is known without its weights."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """Everything that an export depends on."""
        ...

    def shapes(self, part: str) -> Mapping[str, tuple[int, ...]]:
        """The weights of one network by name, without a look at them."""
        ...

    def network(self, part: str) -> nn.Module:
        """One network with its weights, in float32 on the CPU, every one a finite number: a text encoder, UNET or VAE.

        ModelError when they are damaged, missing or of another kind.
        """
        ...


def parts(facts: Facts) -> tuple[str, ...]:
    """The networks of a model, smallest first."""
    return (*(text.component for text in facts.texts), VAE, UNET)


def digest_of(source: Source) -> str:
    """One SHA-256 of the contents of all files that an export depends on, in their order; ModelError when one cannot be
    read."""
    try:
        digests = [sha256(path) for path in source.files]
    except OSError as error:  # a disk that fails, or a file that is another user's
        raise ModelError(
            f"cannot read the model: {error.strerror or error}",
            where=str(error.filename or ""),
            hint="copy the model again, or ask for leave to read it",
        ) from error
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def check_weights(network: nn.Module, part: str, where: str) -> None:
    """ModelError when a weight was never read, or is not a number."""
    import torch  # the template engine reads this file, and needs none

    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        if value.is_meta:
            raise ModelError(
                f"{part} has no value for {name}", where=where, hint="the weights are incomplete: get the model again"
            )
        if not value.is_floating_point():
            continue
        bad = int((~torch.isfinite(value)).sum())
        if bad:
            raise ModelError(
                f"{part}: {bad} values of {name} are not numbers (NaN or infinite)",
                where=where,
                hint="the weights are damaged: get the model again",
            )

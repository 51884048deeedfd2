"""What travels on the links of a workflow: numpy arrays in frozen wrappers, and handles to models.

Shapes follow ComfyUI: images are [batch, height, width, channels] in 0..1, masks [batch, height, width] in 0..1,
latents [batch, channels, height/8, width/8] in the model's own unscaled space. Arrays are float32 and read-only, so
that a cached result cannot be changed by the node that reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, Self, get_args

import numpy as np
from numpy.typing import NDArray

from onnxflow.errors import InputError
from onnxflow.models.source import Source

Array = NDArray[np.float32]
Feeds = Mapping[str, NDArray[Any]]

SeedRule = Literal["next", "same"]
"""Seed of the noise that a sampler adds at its steps: ``next`` is seed + 1 (ComfyUI since the end of 2025); ``same`` is
the seed itself, the rule of older files, which draws the starting noise a second time."""

SEED_RULES: tuple[str, ...] = get_args(SeedRule)

_NO_EXTRAS: Mapping[str, Any] = MappingProxyType({})


def frozen(array: Any, name: str, rank: int) -> Array:
    """``array`` as a read-only float32 array of ``rank`` dimensions; InputError when it has another rank."""
    result: Array = np.asarray(array, dtype=np.float32)
    if result.ndim != rank:
        raise InputError(f"{name} has {result.ndim} dimensions {list(result.shape)}, expected {rank}")
    if result.flags.writeable:
        # A view, so that the caller's own array keeps its flag.
        result = result.view()
        result.flags.writeable = False
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Pictures: float32 [batch, height, width, 1|3|4] in 0..1."""

    SOCKET: ClassVar[str] = "IMAGE"
    pixels: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "pixels", frozen(self.pixels, "an image", 4))


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """Masks: float32 [batch, height, width] in 0..1; 1 means masked."""

    SOCKET: ClassVar[str] = "MASK"
    values: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen(self.values, "a mask", 3))


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """Latents: float32 [batch, channels, height, width], unscaled, with an optional noise mask and batch indices.

    ``batch_index`` gives each sample's place in the batch its noise is drawn for; ``extras`` keeps unknown keys.
    """

    SOCKET: ClassVar[str] = "LATENT"
    samples: Array
    noise_mask: Mask | None = None
    batch_index: tuple[int, ...] | None = None
    extras: Mapping[str, Any] = field(default_factory=lambda: _NO_EXTRAS)

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", frozen(self.samples, "a latent", 4))

    def with_samples(self, samples: Array) -> Self:
        """The same latent with other samples; mask, indices and extras stay."""
        return replace(self, samples=samples)


@dataclass(frozen=True, slots=True, eq=False)
class Cond:
    """One text condition: ``cross_attn`` float32 [1, tokens, dim], ``pooled`` [1, dim] or None, ComfyUI's options."""

    cross_attn: Array
    pooled: Array | None = None
    extras: Mapping[str, Any] = field(default_factory=lambda: _NO_EXTRAS)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cross_attn", frozen(self.cross_attn, "a text condition", 3))
        if self.pooled is not None:
            object.__setattr__(self, "pooled", frozen(self.pooled, "a pooled text condition", 2))


@dataclass(frozen=True, slots=True, eq=False)
class Conditioning:
    """What guides the sampler: one or more text conditions."""

    SOCKET: ClassVar[str] = "CONDITIONING"
    entries: tuple[Cond, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A handle to a diffusion network: where it comes from and the patches on it, in order. It holds no session."""

    SOCKET: ClassVar[str] = "MODEL"
    COMPONENTS: ClassVar[tuple[str, ...]] = ("unet",)
    source: Source
    patches: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Clip:
    """A handle to a text encoder and its tokenizer. It holds no session."""

    SOCKET: ClassVar[str] = "CLIP"
    COMPONENTS: ClassVar[tuple[str, ...]] = ("text_encoder", "text_encoder_2")
    source: Source
    patches: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Vae:
    """A handle to an image encoder and decoder. It holds no session."""

    SOCKET: ClassVar[str] = "VAE"
    COMPONENTS: ClassVar[tuple[str, ...]] = ("vae_encoder", "vae_decoder")
    source: Source


Handle = Model | Clip | Vae
HANDLES = (Model, Clip, Vae)


@dataclass(frozen=True, slots=True, eq=False)
class Sigmas:
    """The noise levels that a run visits: float32 [n + 1] for n steps, from most to least noise as a rule."""

    SOCKET: ClassVar[str] = "SIGMAS"
    values: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen(self.values, "a schedule of sigmas", 1))


@dataclass(frozen=True, slots=True)
class Noise:
    """Where a run's starting noise comes from: drawn from ``seed``, or none at all; its seed is the run's."""

    SOCKET: ClassVar[str] = "NOISE"
    seed: int
    drawn: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Guider:
    """A network with the conditions that guide it; it holds no session.

    Without ``negative`` the positive prediction is the result. With ``middle`` there are two scales: ``cfg_middle`` of
    the middle side against the negative one, and ``cfg`` of the positive side against the middle one.
    """

    SOCKET: ClassVar[str] = "GUIDER"
    model: Model
    positive: Conditioning
    negative: Conditioning | None = None
    middle: Conditioning | None = None
    cfg: float = 1.0
    cfg_middle: float = 1.0
    nested: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionBlocker:
    """In the place of a value: what reads it does not run, nor what reads that. A ``message`` is told to the clients of
    the run, as an error that does not end it."""

    message: str | None = None


CARRIED: Mapping[str, type[Model | Clip | Vae]] = MappingProxyType(
    {**{handle.SOCKET: handle for handle in HANDLES}, Guider.SOCKET: Model}
)
"""The sockets that carry a model, and the handle that comes with each."""


def handle_of(value: Any) -> Handle | None:
    """The handle that a value is or carries; None for one that has to do with no model."""
    if isinstance(value, Guider):
        return value.model
    return value if isinstance(value, HANDLES) else None


class Session(Protocol):
    """A loaded component: arrays in by name, arrays out by name."""

    def run(self, feeds: Feeds) -> dict[str, NDArray[Any]]:
        """All outputs of the component for ``feeds``; Cancelled when the run is stopped meanwhile."""
        ...

    def close(self) -> None:
        """Give the memory back; the session cannot run afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class Preview:
    """A picture of a step, as the bytes of a file: ``format`` is Pillow's name for it, the sizes are in pixels."""

    data: bytes = field(repr=False)
    width: int
    height: int
    format: str = "JPEG"


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file a node wrote: where it is, and ComfyUI's way of naming it (name, subfolder, root)."""

    path: Path
    filename: str
    subfolder: str
    type: str
    array: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)

    def as_ui(self) -> dict[str, str]:
        """The entry ComfyUI's clients expect in ``executed`` messages and in the history."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.type}

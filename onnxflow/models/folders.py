"""Where models of each kind are looked for: ComfyUI's folder names below the user's model folders, and the folders that
an extra_model_paths.yaml adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

CHECKPOINTS: Final = "checkpoints"
DIFFUSION_MODELS: Final = "diffusion_models"
TEXT_ENCODERS: Final = "text_encoders"
VAE: Final = "vae"
DIFFUSERS: Final = "diffusers"
EMBEDDINGS: Final = "embeddings"

NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        CHECKPOINTS: (CHECKPOINTS,),
        DIFFUSION_MODELS: ("unet", DIFFUSION_MODELS),
        TEXT_ENCODERS: (TEXT_ENCODERS, "clip"),
        VAE: (VAE,),
        DIFFUSERS: (DIFFUSERS,),
        EMBEDDINGS: (EMBEDDINGS,),
        "loras": ("loras",),
        "controlnet": ("controlnet", "t2i_adapter"),
        "upscale_models": ("upscale_models",),
        "vae_approx": ("vae_approx",),
        "configs": ("configs",),
        "clip_vision": ("clip_vision",),
        "style_models": ("style_models",),
        "gligen": ("gligen",),
        "hypernetworks": ("hypernetworks",),
        "photomaker": ("photomaker",),
    }
)
"""The kinds of models, and the folders that hold them below a folder of models, the older names too."""

KINDS: Final[Mapping[str, str]] = MappingProxyType({name: kind for kind, names in NAMES.items() for name in names})
"""The kind that a folder's name stands for."""

_NONE: Final[Mapping[str, tuple[Path, ...]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ExtraPaths:
    """Folders by kind that are searched besides those below the roots: before them, and after."""

    first: Mapping[str, tuple[Path, ...]] = field(default_factory=lambda: _NONE)
    last: Mapping[str, tuple[Path, ...]] = field(default_factory=lambda: _NONE)


NO_EXTRA: Final = ExtraPaths()


def folders_of(kind: str, roots: tuple[Path, ...], extra: ExtraPaths) -> tuple[Path, ...]:
    """The folders of a kind in the order in which they are searched, each once, whether they are there or not."""
    below = [root / name for root in roots for name in NAMES[kind]]
    return tuple(dict.fromkeys([*extra.first.get(kind, ()), *below, *extra.last.get(kind, ())]))

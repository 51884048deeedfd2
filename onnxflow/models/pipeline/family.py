"""Which family of Stable Diffusion a pipeline's configurations describe, and whether they fit together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from onnxflow.errors import ModelError
from onnxflow.models.pipeline.config import TextConfig, UnetConfig, VaeConfig
from onnxflow.models.pipeline.index import KNOWN

LEVELS: Final = 4
"""Of the autoencoder: three halvings make latents one eighth of the picture."""

_WHOLE: Final = {"sd2": 24}
"""Layers of the text encoder that a family's was cut from by leaving out the last."""


def family_of(unet: UnetConfig, texts: Mapping[str, TextConfig], where: Path) -> str:
    """The family; ModelError when the unet is told what none of them is."""
    if unet.told == "text_time":
        return "sdxl" if len(texts) == 2 else "sdxl-refiner"
    if unet.told:
        raise ModelError(f"the unet is told {unet.told!r} besides the text", where=str(where / "unet"), hint=KNOWN)
    # OpenCLIP's activation, and OpenAI's CLIP's.
    return "sd2" if next(iter(texts.values())).activation == "gelu" else "sd1"


def skipped_layers(family: str, layers: int) -> int:
    """How many last layers of its text encoder a family's comes without: Diffusers cuts 2.x's last one off."""
    return min(1, max(0, _WHOLE.get(family, 0) - layers))


def check_fit(unet: UnetConfig, vae: VaeConfig, texts: Mapping[str, TextConfig], where: Path) -> None:
    """ModelError when the networks do not fit together, or are not as Stable Diffusion's."""
    written = sum(config.hidden for config in texts.values())
    if unet.context != written:
        raise ModelError(
            f"the unet reads text of width {unet.context}, the text encoder writes {written}",
            where=str(where),
            hint="unet/ and text_encoder/ are of two models",
        )
    if unet.in_channels not in (vae.channels, 2 * vae.channels + 1) or unet.out_channels != vae.channels:
        raise ModelError(
            f"the unet takes {unet.in_channels} channels and gives {unet.out_channels}, the vae's latents have "
            f"{vae.channels}",
            where=str(where / "unet"),
            hint=f"{KNOWN}, also for inpainting (9 channels)",
        )
    if vae.levels != LEVELS or not vae.quantized:
        raise ModelError("the vae does not reduce pictures eightfold as Stable Diffusion does", where=str(where))

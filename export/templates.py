"""Writes the templates of every known family: `python -m onnxflow.export.templates FOLDER [NAME ...]`."""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from onnxflow.export.components import Component, text_encoder, unet, vae_decoder, vae_encoder
from onnxflow.export.hollow import hollow_text, hollow_unet, hollow_vae
from onnxflow.export.template import int8_template_of, template_of, write_template
from onnxflow.models.layout.text import TextShape
from onnxflow.models.layout.unet import UnetShape
from onnxflow.models.layout.vae import VaeShape
from onnxflow.models.template import template_file

_SD1: Final = UnetShape(
    in_channels=4,
    out_channels=4,
    channels=(320, 640, 1280, 1280),
    layers=2,
    depths=(1, 1, 1, 0),
    middle_depth=1,
    context=768,
    linear=False,
    label=None,
    guidance=None,
)
_SD2: Final = replace(_SD1, context=1024, linear=True)
_SDXL: Final = replace(
    _SD2, channels=(320, 640, 1280), depths=(0, 2, 10), middle_depth=10, context=2048, label=1280 + 6 * 256
)
_REFINER: Final = replace(
    _SD2,
    channels=(384, 768, 1536, 1536),
    depths=(0, 4, 4, 0),
    middle_depth=4,
    context=1280,
    label=1280 + 5 * 256,
)
_CLIP_L: Final = TextShape(vocabulary=49408, length=77, hidden=768, inner=3072, layers=12, projection=None)
_CLIP_H: Final = TextShape(vocabulary=49408, length=77, hidden=1024, inner=4096, layers=23, projection=None)
_CLIP_G: Final = TextShape(vocabulary=49408, length=77, hidden=1280, inner=5120, layers=32, projection=1280)
_VAE: Final = VaeShape(channels=(128, 256, 512, 512), layers=2, latent=4)
_LCM: Final = 256


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shapes that templates are made for: denoisers by family, and text encoders, by template; the autoencoder."""

    unets: Mapping[str, tuple[str, UnetShape]]
    texts: Mapping[str, tuple[bool, TextShape]]
    vae: VaeShape


REAL: Final = Shapes(
    unets={
        "sd1-unet": ("sd1", _SD1),
        "sd1-lcm-unet": ("sd1", replace(_SD1, guidance=_LCM)),
        "sd2-unet": ("sd2", _SD2),
        "sdxl-unet": ("sdxl", _SDXL),
        "sdxl-lcm-unet": ("sdxl", replace(_SDXL, guidance=_LCM)),
        "sdxl-refiner-unet": ("sdxl-refiner", _REFINER),
    },
    texts={"clip-l": (False, _CLIP_L), "clip-h": (True, _CLIP_H), "clip-g": (True, _CLIP_G)},
    vae=_VAE,
)


def components_of(shapes: Shapes) -> Mapping[str, Callable[[], Component]]:
    """How the component of every template is made."""
    found: dict[str, Callable[[], Component]] = {
        "vae-encoder": lambda: vae_encoder(hollow_vae(shapes.vae, "sd1")),
        "vae-decoder": lambda: vae_decoder(hollow_vae(shapes.vae, "sd1")),
    }
    for name, (open_clip, text) in shapes.texts.items():
        found[name] = lambda text=text, open_clip=open_clip: text_encoder(hollow_text(text, open_clip))  # type: ignore[misc]
    for name, (family, shape) in shapes.unets.items():
        found[name] = lambda family=family, shape=shape: unet(hollow_unet(shape, family), _pooled(family, shape))  # type: ignore[misc]
    return found


def write_templates(folder: Path, shapes: Shapes = REAL, names: list[str] | None = None) -> Iterator[Path]:
    """Write the templates of those names, of all without; each in fp32 and in int8, one after the other."""
    for name, make in components_of(shapes).items():
        if names and name not in names:
            continue
        for precision, build in (("fp32", template_of), ("int8", int8_template_of)):
            path = template_file(folder, name, precision)
            write_template(build(make()), path)
            yield path


def _pooled(family: str, shape: UnetShape) -> int | None:
    """The width of the projected text that a denoiser is told: what is not the six or five sizes' embeddings."""
    if shape.label is None:
        return None
    return shape.label - (5 if family == "sdxl-refiner" else 6) * 256


if __name__ == "__main__":
    for written in write_templates(Path(sys.argv[1]), names=sys.argv[2:]):
        print(f"{written.name}: {written.stat().st_size:,} bytes", flush=True)

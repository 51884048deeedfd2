"""Resizing beside torch.nn.functional.interpolate, of pictures (channels last) and of planes (channels first)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F

from images.case import Case
from images.filters import tensor
from images.inputs import SIDE, image
from onnxflow.nodes.image_scale import image_scale
from onnxflow.resize import resize
from onnxflow.values import Image

SIDES = (512, 1024, 1500, 4096)


def _theirs(values: Any, side: int, method: str) -> Any:
    return F.interpolate(values, size=(side, side), mode=method)


def _of_pictures(pictures: Any, side: int, method: str) -> Any:
    return _theirs(pictures.movedim(-1, 1), side, method).movedim(1, -1).contiguous()


def _ours(picture: Image, side: int, method: str) -> Any:
    return image_scale.function(image=picture, upscale_method=method, width=side, height=side, crop="disabled").pixels


def _lanczos(pictures: Any, side: int) -> Any:
    planes = pictures.movedim(-1, 1)[0]
    bytes_ = [PIL.Image.fromarray((255.0 * plane).clamp(0, 255).to(torch.uint8).numpy()) for plane in planes]
    found = [one.resize((side, side), PIL.Image.Resampling.LANCZOS) for one in bytes_]
    return torch.stack([torch.from_numpy(np.array(one).astype(np.float32) / 255.0) for one in found], -1)[None]


def cases() -> Iterator[Case]:
    """Every method to half, a quarter, an odd share and double."""
    values = image(0)
    picture, pixels = Image(values), tensor(values)
    planes = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
    channels_first = tensor(planes)
    for method in ("nearest-exact", "bilinear", "area", "bicubic"):
        for side in SIDES:
            name = f"{method} {SIDE} to {side}"
            yield Case(
                f"ImageScale {name}", partial(_ours, picture, side, method), partial(_of_pictures, pixels, side, method)
            )
            yield Case(
                f"planes {name}",
                partial(resize, planes, side, side, method),
                partial(_theirs, channels_first, side, method),
            )
    yield Case(
        "ImageScale lanczos 2048 to 1024", partial(_ours, picture, 1024, "lanczos"), partial(_lanczos, pixels, 1024), 0
    )
    large = image(0, 2 * SIDE)
    yield Case(
        "ImageScale bilinear 4096 to 512",
        partial(_ours, Image(large), 512, "bilinear"),
        partial(_of_pictures, tensor(large), 512, "bilinear"),
    )

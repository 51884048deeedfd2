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


def _turned(values: Any, size: int) -> Any:
    """``values`` [b,c,h,w] interpolated along the last axis: directions on the sphere, lengths linearly."""
    old = values.shape[-1]
    places = ((torch.arange(size) + 0.5) * (old / size) - 0.5).clamp(0, old - 1)
    before = places.floor().long()
    share = places - before
    one, other = values[..., before], values[..., (before + 1).clamp(max=old - 1)]
    long, longer = (torch.linalg.vector_norm(x, dim=1, keepdim=True) for x in (one, other))
    cosine = (one / long * other / longer).sum(1, keepdim=True)
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    turned = torch.sin((1 - share) * angle) / sine * (one / long) + torch.sin(share * angle) / sine * (other / longer)
    turned = turned * (long * (1 - share) + longer * share)
    return torch.where(
        cosine > 1 - 1e-5, one, torch.where(cosine < 1e-5 - 1, one * (1 - share) + other * share, turned)
    )


def _bislerp(values: Any, side: int) -> Any:
    return _turned(_turned(values, side).transpose(2, 3), side).transpose(2, 3)


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
    latent = np.random.default_rng(0).standard_normal((4, 4, 256, 256)).astype(np.float32)
    yield Case(
        "LatentUpscale bislerp 256 to 384, batch 4",
        partial(resize, latent, 384, 384, "bislerp"),
        partial(_bislerp, tensor(latent), 384),
        5e-4,  # where two vectors are nearly parallel, 1 less their cosine has few digits
    )

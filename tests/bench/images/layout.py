"""Cutting, stitching, padding and rebatching beside the same in PyTorch's operators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F

from images.case import Case
from images.filters import planes, tensor
from images.inputs import image
from onnxflow.nodes import image_layout, image_scale, rebatch
from onnxflow.values import Image

Tensor = Any


def _stitched(one: Tensor, other: Tensor) -> Tensor:
    return torch.cat([one, torch.ones(1, one.shape[1], 16, 3), other], 2)


def _fitted(pictures: Tensor) -> Tensor:
    inner = F.interpolate(planes(pictures), size=(1024, 1024), mode="bilinear")
    result = torch.ones(1, 3, 1024, 1536)
    result[:, :, :, 256:-256] = inner
    return result.movedim(1, -1).contiguous()


def cases() -> Iterator[Case]:
    """One operation after the other."""
    one, two = image(0), image(1)
    first, second, a, b = Image(one), Image(two), tensor(one), tensor(two)

    def pixels(work: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: work().pixels

    yield Case(
        "ImageCrop 1024 (and a copy)",
        lambda: image_layout.image_crop.function(first, 1024, 1024, 512, 512).pixels.copy(),
        lambda: a[:, 512:1536, 512:1536].contiguous(),
    )
    yield Case(
        "ImageStitch right",
        pixels(lambda: image_layout.image_stitch.function(first, "right", False, 16, "white", second)),
        lambda: _stitched(a, b),
    )
    yield Case(
        "ResizeAndPadImage bilinear to 1536x1024",
        pixels(
            lambda: image_scale.resize_and_pad_image.function(
                image=first, target_width=1536, target_height=1024, padding_color="white", interpolation="bilinear"
            )
        ),
        lambda: _fitted(a),
    )
    yield Case(
        "RebatchImages, 2 of 1 to 1 of 2",
        lambda: rebatch.rebatch_images.function([first, second], [2])[0].pixels,  # type: ignore[list-item,index]
        lambda: torch.cat([a, b]),
    )

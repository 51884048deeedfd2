"""Canny's edges beside the same steps in PyTorch's operators."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from images.case import Case
from images.filters import tensor
from images.inputs import image
from onnxflow.nodes.image_filter import canny_edges
from onnxflow.values import Image

Tensor = Any


def _edges(pictures: Tensor, low: float, high: float) -> Tensor:
    """Blur, gradient, the largest one across the edge (eight convolutions, as image libraries on PyTorch do it), and
    the weak edges that hang on strong ones."""
    red, green, blue = pictures.unbind(-1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    weights = torch.exp(-(torch.arange(-2, 3.0) ** 2) / 2)
    weights = weights / weights.sum()
    grey = F.conv2d(F.pad(grey, (2, 2, 2, 2), "reflect"), torch.outer(weights, weights)[None, None])
    sobel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    gradient = F.conv2d(F.pad(grey, (1, 1, 1, 1), "replicate"), torch.stack([sobel, sobel.T])[:, None])
    right, down = gradient[:, :1], gradient[:, 1:]
    length = torch.sqrt(right * right + down * down + 1e-6)
    turn = (torch.round(torch.rad2deg(torch.atan2(down, right)) / 45) % 8).long()
    kernels = torch.zeros(8, 1, 3, 3)
    kernels[:, 0, 1, 1] = 1
    for k, (y, x) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1))):
        kernels[k, 0, 1 + y, 1 + x] = -1
    larger = F.conv2d(length, kernels, padding=1)
    kept = torch.minimum(larger.gather(1, turn), larger.gather(1, (turn + 4) % 8)) > 0
    length = length * kept
    strong, weak = length > high, length > low
    while True:
        linked = (F.max_pool2d(strong.float(), 3, 1, 1) > 0) & weak
        if torch.equal(linked, strong):
            return strong[:, 0].float()[..., None].expand(-1, -1, -1, 3)
        strong = linked


def cases() -> Iterator[Case]:
    """One picture; a place where two neighbours are equally strong may differ from PyTorch's, and its chain with it."""
    picture = image(0)
    yield Case(
        "Canny",
        lambda: canny_edges.function(Image(picture), 0.4, 0.8).pixels,
        partial(_edges, tensor(picture), 0.4, 0.8),
        1,
    )

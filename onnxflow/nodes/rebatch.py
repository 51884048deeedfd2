"""Lists of batches put together and cut anew: RebatchLatents, RebatchImages."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Annotated, Any

import numpy as np

from onnxflow.nodes.latent_batch import whole_masks
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Int
from onnxflow.values import Image, Latent, Mask

Size = Annotated[int, Int(min=1, max=4096)]
CELL = 8  # pixels of a latent's cell: masks get the picture's size


@node(
    "RebatchLatents",
    category="latent/batch",
    display_name="Rebatch Latents",
    input_is_list=True,
    output_is_list=(True,),
)
def rebatch_latents(latents: Latent, batch_size: Size = 1) -> Latent:
    """All latents of the list in batches of ``batch_size``; where the size changes a new batch begins. Masks and places
    in the batch go along, and places that nobody set count on from batch to batch."""
    size = _first(batch_size)
    rows: list[tuple[Any, Any, int]] = []
    for latent in _listed(latents):
        count = len(latent.samples)
        places = latent.batch_index
        places = places if places is not None else tuple(range(len(rows), len(rows) + count))
        rows += zip(latent.samples, whole_masks(latent, CELL), places, strict=True)
    batches = []
    for part in _parts(rows, [row[0].shape for row in rows], size):
        mask = np.stack([mask for _, mask, _ in part])
        batches.append(
            Latent(
                np.stack([samples for samples, _, _ in part]),
                None if (mask == 1).all() else Mask(mask),
                tuple(place for _, _, place in part),
            )
        )
    return batches  # type: ignore[return-value]  # a list, as declared


@node(
    "RebatchImages",
    category="image/batch",
    display_name="Rebatch Images",
    input_is_list=True,
    output_is_list=(True,),
)
def rebatch_images(images: Image, batch_size: Size = 1) -> Image:
    """All pictures of the list in batches of ``batch_size``; where the size changes a new batch begins."""
    rows = [picture for image in _listed(images) for picture in image.pixels]
    parts = _parts(rows, [row.shape for row in rows], _first(batch_size))
    return [Image(np.stack(part)) for part in parts]  # type: ignore[return-value]  # a list, as declared


def _listed(values: Any) -> Any:
    """What the engine hands to a node that takes lists."""
    return values


def _first(values: Any) -> int:
    size: int = values[0]
    return size


def _parts(rows: list[Any], shapes: list[Any], size: int) -> Iterator[list[Any]]:
    """The rows in order, ``size`` of one shape at a time."""
    for _, group in groupby(zip(shapes, rows, strict=True), key=lambda pair: pair[0]):
        together = [row for _, row in group]
        yield from (together[start : start + size] for start in range(0, len(together), size))

"""Batches of latents: RepeatLatentBatch, LatentFromBatch, LatentBatch, LatentBatchSeedBehavior."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from onnxflow.nodes.batch import part_of_batch
from onnxflow.nodes.latent_arithmetic import check_channels
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Combo, Int
from onnxflow.pixels.fit import repeated
from onnxflow.resize import resize
from onnxflow.values import Array, Latent, Mask

Amount = Annotated[int, Int(min=1, max=64)]
Index = Annotated[int, Int(min=0, max=63)]


@node("RepeatLatentBatch", category="latent/batch", display_name="Repeat Latent Batch")
def repeat_latent_batch(samples: Latent, amount: Amount = 1) -> Latent:
    """The batch ``amount`` times; masks go along where there are several, and places in the batch go on counting."""
    count = len(samples.samples)
    mask = samples.noise_mask
    if mask is not None and len(mask.values) > 1:
        values = repeated(mask.values, max(count, len(mask.values)))
        mask = Mask(np.tile(values, (amount, 1, 1)))
    places = samples.batch_index
    if places is not None:
        step = max(places) - min(places) + 1
        places = tuple(place + turn * step for turn in range(amount) for place in places)
    return replace(samples, samples=np.tile(samples.samples, (amount, 1, 1, 1)), noise_mask=mask, batch_index=places)


@node("LatentFromBatch", category="latent/batch", display_name="Latent From Batch")
def latent_from_batch(samples: Latent, batch_index: Index = 0, length: Amount = 1) -> Latent:
    """``length`` latents from number ``batch_index`` on, the last one at least, with their masks and places."""
    count = len(samples.samples)
    part = part_of_batch(count, batch_index, length)
    mask = samples.noise_mask
    if mask is not None and len(mask.values) > 1:
        mask = Mask(repeated(mask.values, max(count, len(mask.values)))[part])
    places = samples.batch_index if samples.batch_index is not None else tuple(range(count))
    return replace(samples, samples=samples.samples[part], noise_mask=mask, batch_index=places[part])


@node("LatentBatch", category="latent/batch")
def latent_batch(samples1: Latent, samples2: Latent) -> Latent:
    """Both batches, the second cut and resized to the first's size; each keeps its places."""
    check_channels(samples1, samples2)
    one, other = samples1.samples, samples2.samples
    if one.shape[2:] != other.shape[2:]:
        other = resize(other, one.shape[3], one.shape[2], "bilinear", "center")
    places = (*_places(samples1), *_places(samples2))
    return replace(samples1, samples=np.concatenate([one, other]), batch_index=places)


@node("LatentBatchSeedBehavior", category="latent/advanced")
def latent_batch_seed_behavior(
    samples: Latent, seed_behavior: Annotated[str, Combo(("random", "fixed"))] = "fixed"
) -> Latent:
    """Each latent of the batch with noise of its own ("random"), or all with the same ("fixed")."""
    if seed_behavior == "random":
        return replace(samples, batch_index=None)
    return replace(samples, batch_index=_places(samples)[:1] * len(samples.samples))


def _places(latent: Latent) -> tuple[int, ...]:
    """The places of the samples in the batch that their noise is drawn for."""
    return latent.batch_index if latent.batch_index is not None else tuple(range(len(latent.samples)))


def whole_masks(latent: Latent, factor: int) -> Array:
    """A mask [b, h * factor, w * factor] for each sample; ones without a noise mask."""
    count, _, rows, columns = latent.samples.shape
    height, width = rows * factor, columns * factor
    if latent.noise_mask is None:
        return np.ones((count, height, width), np.float32)
    values = latent.noise_mask.values
    if values.shape[1:] != (height, width):
        values = resize(values[:, np.newaxis], width, height, "bilinear")[:, 0]
    return repeated(values, count)

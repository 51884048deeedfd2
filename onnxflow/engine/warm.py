"""Making a model ready before it is wanted: every network is loaded where it will run, compiled, and called once.

What a provider compiles is kept on disk for the size that is asked for; the driver's own caches are filled as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from onnxflow.cancel import CancelToken
from onnxflow.engine.places import Placing, component_wishes
from onnxflow.errors import ModelError
from onnxflow.models.foreign import NAMED
from onnxflow.models.manifest import OWN
from onnxflow.models.source import Source
from onnxflow.providers.placement import Placement
from onnxflow.providers.session import SessionCache, SessionUse
from onnxflow.values import Feeds

TOKENS: Final = 77
"""Tokens of one chunk of text; more of them are another size."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """One network in one size: what its session did (its variant, where it ran, what the graph says of itself), the
    rows of its batch, and the seconds of a second call."""

    use: SessionUse
    rows: int
    next_seconds: float


def warm(
    source: Source, placing: Placing, width: int, height: int, batch: int, cancel: CancelToken
) -> Iterator[Warmed]:
    """Every network of a model for pictures of ``width`` x ``height``, ``batch`` at a time, one after the other,
    in every size that a device needs; ProviderError, ModelError, NumbersError, MemoryLimitError or Cancelled."""
    for component, record in source.manifest.components.items():
        if record.interface != OWN:
            raise ModelError(
                f"the {component} of {source.name} is {NAMED}'s: what its sizes mean is not known",
                where=str(source.root),
                hint="run a workflow with it once instead",
            )
    wishes = component_wishes(placing)
    # All of them first: that a later one cannot be placed is known before minutes are spent on an earlier one.
    placements = {name: placing.placer.place(wishes(name), source, name) for name in source.manifest.components}
    sessions = SessionCache()
    for component, placement in placements.items():
        for rows in rows_of(component, placement, batch):
            lease = sessions.lease(cancel)
            session = lease.get(source, component, placement)
            feeds = feeds_of(source, component, width, height, rows)
            session.run(feeds)
            started = time.perf_counter()
            session.run(feeds)
            seconds = time.perf_counter() - started
            use = lease.uses()[-1]
            yield Warmed(use, rows, seconds)
            lease.close()
            if not use.place.fixed:  # it fell back, to where one size is as good as another
                break
        sessions.close()


def rows_of(component: str, placement: Placement, batch: int) -> tuple[int, ...]:
    """The batches that workflows give a network, the usual one alone where sizes are free.

    The two sides of the guidance go through the unet at once, and one alone without guidance; a prompt with weights is
    encoded beside the empty one; pictures are encoded and decoded one at a time.
    """
    fixed = placement.device.fixed
    if component == "unet":
        return (batch, 2 * batch) if fixed else (2 * batch,)
    if component.startswith("text_encoder"):
        return (1, 2) if fixed else (1,)
    return (1,)


def feeds_of(source: Source, component: str, width: int, height: int, rows: int) -> Feeds:
    """Inputs of the shapes that a workflow would give, ``rows`` at once: small numbers, and no ControlNet."""
    factor = source.latent.factor
    sizes = {
        "batch": rows,
        "tokens": TOKENS,
        "height": height // factor,
        "width": width // factor,
        "image_height": height // factor * factor,
        "image_width": width // factor * factor,
    }
    feeds = {}
    for name, shape in source.component(component).inputs.items():
        if "residual" in name:
            feeds[name] = np.zeros((1,) * len(shape), np.float32)
            continue
        dims = tuple(size if isinstance(size, int) else sizes.get(size, 1) for size in shape)
        whole = name in ("eos_index", "input_ids")
        feeds[name] = np.full(dims, 1 if whole else 0.1, np.int64 if whole else np.float32)
    return feeds

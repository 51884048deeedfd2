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
from onnxflow.models.bundle import Bundle
from onnxflow.models.foreign import NAMED
from onnxflow.models.manifest import OWN
from onnxflow.providers.graph import Facts
from onnxflow.providers.placement import Placement
from onnxflow.providers.session import SessionCache
from onnxflow.values import Feeds

TOKENS: Final = 77
"""Tokens of one chunk of text; more of them are another size."""


@dataclass(frozen=True, slots=True)
class Warmed:
    """One network: where it runs, what the graph says of itself, and the seconds of a second call."""

    component: str
    placement: Placement
    device: str
    facts: Facts
    next_seconds: float


def warm(
    bundle: Bundle, placing: Placing, width: int, height: int, batch: int, cancel: CancelToken
) -> Iterator[Warmed]:
    """Every network of a model for pictures of ``width`` x ``height``, ``batch`` at a time, one after the other;
    ProviderError, ModelError, NumbersError, MemoryLimitError or Cancelled."""
    for component, record in bundle.manifest.components.items():
        if record.interface != OWN:
            raise ModelError(
                f"the {component} of {bundle.name} is {NAMED}'s: what its sizes mean is not known",
                where=str(bundle.root),
                hint="run a workflow with it once instead",
            )
    wishes = component_wishes(placing)
    sessions = SessionCache()
    for component in bundle.manifest.components:
        lease = sessions.lease(cancel)
        placement = placing.placer.place(wishes(component), bundle, component)
        session = lease.get(bundle, component, placement)
        feeds = feeds_of(bundle, component, width, height, batch)
        session.run(feeds)
        started = time.perf_counter()
        session.run(feeds)
        seconds = time.perf_counter() - started
        use = lease.uses()[-1]
        yield Warmed(component, placement, use.device, use.facts, seconds)
        lease.release(bundle.identity, (component,))


def feeds_of(bundle: Bundle, component: str, width: int, height: int, batch: int) -> Feeds:
    """Inputs of the shapes that a workflow would give: small numbers, and no ControlNet."""
    factor = bundle.latent.factor
    # The two sides of the guidance go through the unet at once; the others take one at a time.
    rows = 2 * batch if component == "unet" else 1
    sizes = {
        "batch": rows,
        "tokens": TOKENS,
        "height": height // factor,
        "width": width // factor,
        "image_height": height // factor * factor,
        "image_width": width // factor * factor,
    }
    feeds = {}
    for name, shape in bundle.component(component).inputs.items():
        if "residual" in name:
            feeds[name] = np.zeros((1,) * len(shape), np.float32)
            continue
        dims = tuple(size if isinstance(size, int) else sizes.get(size, 1) for size in shape)
        whole = name in ("eos_index", "input_ids")
        feeds[name] = np.full(dims, 1 if whole else 0.1, np.int64 if whole else np.float32)
    return feeds

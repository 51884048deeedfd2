"""The schedules that were fitted to a model: Sabour et al. (2024), Align Your Steps, released tables of 10 steps."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from onnxflow.errors import InputError, did_you_mean
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.ramps import check_steps

_WHERE = "schedule"

_LEVELS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "SD1": (
            *(14.6146412293, 6.4745760956, 3.8636745985, 2.6946151520, 1.8841921177, 1.3943805092),
            *(0.9642583904, 0.6523686016, 0.3977456272, 0.1515232662, 0.0291671582),
        ),
        "SDXL": (
            *(14.6146412293, 6.3184485287, 3.7681790315, 2.1811480769, 1.3405244945, 0.8620721141),
            *(0.5550693289, 0.3798540708, 0.2332364134, 0.1114188177, 0.0291671582),
        ),
        "SVD": (700.00, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002),
    }
)

FAMILIES = tuple(_LEVELS)
"""The models there is a table for."""


def align_your_steps(family: str, steps: int, denoise: float = 1.0) -> Array:
    """The last round(steps denoise) steps of ``family``'s table, whose last level is taken for 0; empty for denoise 0.

    For other than 10 steps the table is interpolated, log sigma over the steps: section 4.4. InputError for an unknown
    family, steps below 1 and a denoise outside 0..1.
    """
    if family not in _LEVELS:
        raise InputError(f"no steps for {family!r}", where=_WHERE, hint=did_you_mean(family, FAMILIES, what="models"))
    if not 0.0 <= denoise <= 1.0:
        raise InputError(f"denoise is {denoise}, allowed: 0 to 1", where=_WHERE)
    steps = check_steps(steps)
    if denoise == 0.0:
        return np.empty(0, np.float32)
    levels = np.array(_LEVELS[family])
    if len(levels) != steps + 1:
        places = np.linspace(0.0, 1.0, len(levels))
        levels = np.exp(np.interp(np.linspace(0.0, 1.0, steps + 1), places, np.log(levels)))
    kept = levels[-(round(steps * denoise) + 1) :].astype(np.float32)
    kept[-1] = 0
    return kept

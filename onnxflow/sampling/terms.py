"""Terms: the conditions of a CONDITIONING value as a sampling run needs them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from onnxflow.errors import InputError, shown
from onnxflow.sampling.area import Area, AreaShare, read_area
from onnxflow.sampling.model_sampling import ModelSampling
from onnxflow.sampling.protocols import Array
from onnxflow.sampling.told import NOTHING, Tell, Told

if TYPE_CHECKING:
    from onnxflow.values import Cond, Conditioning

_WHERE: Final = "guidance"

# Options of a condition that change the picture and cannot be honoured yet; ignoring them would be silent damage.
_UNSUPPORTED: Final = ("control", "gligen", "hooks")

_LARGEST: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True, eq=False)
class Term:
    """One condition: context [n,s,d], its weight, the noise levels (end <= sigma <= start) it holds for, and what else
    the network is told with it, [n,d] by name.

    It holds for an area (None: everywhere) with the weights of a mask [n,h,w] of any size (None: the same everywhere);
    with ``mask_bounds`` the area is where the mask is not 0.
    """

    context: Array
    strength: float = 1.0
    start_sigma: float = math.inf
    end_sigma: float = 0.0
    told: Told = field(default_factory=lambda: NOTHING)
    area: Area | AreaShare | None = None
    mask: Array | None = None
    mask_strength: float = 1.0
    mask_bounds: bool = False

    def holds_at(self, sigma: np.float32) -> bool:
        """Whether the condition is used at ``sigma``."""
        return bool(np.float32(self.end_sigma) <= sigma <= np.float32(self.start_sigma))


def terms(
    conditioning: Conditioning, model_sampling: ModelSampling, tell: Tell | None = None, *, negative: bool = False
) -> tuple[Term, ...]:
    """The terms of a CONDITIONING value, with what ``tell`` says of each.

    InputError when it is empty, when an option has a value that makes no sense, or one that cannot be honoured.
    """
    if not conditioning.entries:
        raise InputError("the conditioning has no entry", where=_WHERE, hint="connect a CLIPTextEncode node")
    return tuple(
        _term(entry, model_sampling, tell(entry, negative) if tell else NOTHING) for entry in conditioning.entries
    )


def _term(entry: Cond, model_sampling: ModelSampling, told: Told) -> Term:
    options = entry.extras
    for option in _UNSUPPORTED:
        if options.get(option) is not None:
            raise InputError(
                f"a condition has the option {option!r}, which is not supported yet",
                where=_WHERE,
                hint="remove the node that sets it",
            )
    levels = model_sampling.levels
    start, end = options.get("start_percent"), options.get("end_percent")
    area, mask = options.get("area"), options.get("mask")
    return Term(
        entry.cross_attn,
        strength=_number(options.get("strength", 1.0), "strength"),
        start_sigma=math.inf if start is None else levels.percent_to_sigma(_number(start, "start_percent")),
        end_sigma=0.0 if end is None else levels.percent_to_sigma(_number(end, "end_percent")),
        told=told,
        area=None if area is None else read_area(area),
        mask=None if mask is None else _mask(mask),
        mask_strength=_number(options.get("mask_strength", 1.0), "mask_strength"),
        mask_bounds=bool(options.get("set_area_to_bounds", False)),
    )


def _number(value: Any, name: str) -> float:
    # Written so that NaN, which compares with nothing, is refused too.
    if not isinstance(value, (int, float)) or not abs(value) <= _LARGEST:
        raise InputError(f"{name} of a condition is {shown(value)}, expected a finite number", where=_WHERE)
    return float(value)


def _mask(value: Any) -> Array:
    mask: Array = np.asarray(value, np.float32)
    if mask.ndim != 3 or mask.size == 0:
        raise InputError(
            f"the mask of a condition has shape {list(mask.shape)}, expected [batch, height, width]", where=_WHERE
        )
    if not np.isfinite(mask).all():
        raise InputError(
            "the mask of a condition contains NaN or infinity", where=_WHERE, hint="look at the node it comes from"
        )
    return mask

"""What a denoiser is told besides the text: of SDXL the prompt as a whole and the picture's size (Podell et al. 2023,
sections 2.1 and 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from onnxflow.errors import InputError
from onnxflow.sampling.protocols import Array

if TYPE_CHECKING:
    from onnxflow.values import Cond

Told = Mapping[str, Array]
"""Arrays [n, d] by the name of the network's input, the same for every step; n is one, or the size of the batch."""

Tell = Callable[["Cond", bool], Told]
"""What the network is told of one condition; the flag says whether it is a negative one."""

NOTHING: Final[Told] = {}
_SCORES: Final = {False: 6.0, True: 2.5}  # the refiner's aesthetic score of positive and negative conditions
_WHERE: Final = "sampling"


def told_of_sdxl(width: int, height: int, *, refiner: bool, pooled_width: int | None) -> Tell:
    """How SDXL's denoiser is told of a condition, for pictures of this size in pixels.

    A condition may carry other sizes, crops and scores in its options, under the names that ComfyUI gives them.
    InputError when the condition has no pooled output of ``pooled_width``: it was encoded for another model.
    """

    def tell(condition: Cond, negative: bool) -> Told:
        found = None if condition.pooled is None else condition.pooled.shape[1]
        if found is None or (pooled_width is not None and found != pooled_width):
            raise InputError(
                f"a condition has {'no pooled output' if found is None else f'a pooled output {found} wide'}, the"
                f" network takes one {pooled_width} wide",
                where=_WHERE,
                hint="connect the CLIP of the checkpoint that the MODEL comes from",
            )
        options = condition.extras
        tall, wide = _size(options, "height", height), _size(options, "width", width)
        ids = [tall, wide, _size(options, "crop_h", 0), _size(options, "crop_w", 0)]
        if refiner:
            ids.append(_size(options, "aesthetic_score", _SCORES[negative]))
        else:
            ids += [_size(options, "target_height", tall), _size(options, "target_width", wide)]
        assert condition.pooled is not None
        return {"text_embeds": condition.pooled, "time_ids": np.array([ids], np.float32)}

    return tell


def _size(options: Mapping[str, Any], name: str, otherwise: float) -> float:
    found = options.get(name, otherwise)
    if not isinstance(found, (int, float)) or not np.isfinite(found):
        raise InputError(f"{name} of a condition is {found!r}, expected a finite number", where=_WHERE)
    return float(found)

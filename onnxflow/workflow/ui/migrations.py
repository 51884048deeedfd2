"""What files of earlier years have otherwise: classes that were renamed, values that are written otherwise now.

Each migration is a pure function that lets today's form pass as it is. Values that were added to a class stand at its
end and have its defaults in older files; no class of ComfyUI has changed the order of its values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

RENAMED: Final[Mapping[str, str]] = {
    "T2IAdapterLoader": "ControlNetLoader",
    "ConditioningAverage ": "ConditioningAverage",
    "SDV_img2vid_Conditioning": "SVD_img2vid_Conditioning",
}
"""Classes by the names that they had."""

_SAMPLER: Final = "sample_"


def current_name(class_type: str) -> str:
    """Today's name of a class."""
    return RENAMED.get(class_type, class_type)


def current_value(widget: str, value: Any) -> Any:
    """A value of the widget of this name as it is written today: samplers were called sample_NAME."""
    if widget == "sampler_name" and isinstance(value, str):
        return value.removeprefix(_SAMPLER)
    return value

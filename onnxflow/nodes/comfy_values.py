"""Values in ComfyUI's shapes, for node classes made for it, and back: arrays that may be written to, numpy instead of
PyTorch.

IMAGE [n,h,w,c], MASK [n,h,w], SIGMAS [n] are arrays; LATENT is ``{"samples": [n,c,h,w], "noise_mask": ...}``,
CONDITIONING a list of ``[cross_attn, {"pooled_output": ...}]``. Handles to models stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from onnxflow.errors import InputError, shown
from onnxflow.values import Array, Cond, Conditioning, Image, Latent, Mask, Sigmas

POOLED: Final = "pooled_output"
_LATENT_KEYS: Final = ("samples", "noise_mask", "batch_index")

Seen = dict[int, tuple[Any, type]]
"""What was handed out, by its id, with the class it was made of."""


def thawed(value: Any, seen: Seen) -> Any:
    """The value in ComfyUI's shape, as a copy that may be changed, noted in ``seen``; what is none of ours as it is."""
    kind = type(value)
    if kind is Image:
        made: Any = value.pixels.copy()
    elif kind is Mask or kind is Sigmas:
        made = value.values.copy()
    elif kind is Latent:
        made = _latent_out(value)
    elif kind is Conditioning:
        made = [_cond_out(entry) for entry in value.entries]
    else:
        return value
    seen[id(made)] = (made, kind)
    return made


def frozen_as(value: Any, type_: str, seen: Seen) -> Any:
    """What a node returned for an output of this type as our value; InputError when it has not the type's shape.

    An output of any type, or of one of several, goes by what the node was given if it hands that on, else by the
    shape. Types that are not ComfyUI's own stay as they are.
    """
    if value is None:
        return None
    freeze = _BY_TYPE.get(type_)
    if freeze is not None:
        return freeze(value)
    if type_ == "*" or "," in type_:
        return guessed(value, seen)
    return value


def guessed(value: Any, seen: Seen) -> Any:
    """A value of unknown type as ours, if it has the shape of one."""
    known = seen.get(id(value))
    if known is not None and known[0] is value:
        return _BY_KIND[known[1]](value)
    if isinstance(value, np.ndarray) and value.dtype == np.float32:
        if value.ndim == 4 and value.shape[-1] in (1, 3, 4):
            return _image(value)
        return _mask(value) if value.ndim == 3 else value
    if isinstance(value, dict) and isinstance(value.get("samples"), np.ndarray):
        return _latent(value)
    if isinstance(value, list) and value and all(_is_pair(entry) for entry in value):
        return _conditioning(value)
    return value


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, (list, tuple)) and len(entry) == 2 and isinstance(entry[1], dict)


def _is_pair(entry: Any) -> bool:
    return _is_entry(entry) and isinstance(entry[0], np.ndarray)


def _latent_out(value: Latent) -> dict[str, Any]:
    made: dict[str, Any] = {**{k: _copied(v) for k, v in value.extras.items()}, "samples": value.samples.copy()}
    if value.noise_mask is not None:
        made["noise_mask"] = value.noise_mask.values.copy()
    if value.batch_index is not None:
        made["batch_index"] = list(value.batch_index)
    return made


def _cond_out(entry: Cond) -> list[Any]:
    options = {name: _copied(value) for name, value in entry.extras.items()}
    if entry.pooled is not None:
        options[POOLED] = entry.pooled.copy()
    return [entry.cross_attn.copy(), options]


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _array(value: Any, what: str) -> Array:
    """A copy as float32: the node may keep its own and change it."""
    try:
        return np.array(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} is {shown(value, 60)}, expected an array: {error}") from None


def _image(value: Any) -> Any:
    return value if isinstance(value, Image) else Image(_array(value, "an image"))


def _mask(value: Any) -> Any:
    if isinstance(value, Mask):
        return value
    values = _array(value, "a mask")
    if values.ndim == 4 and values.shape[1] == 1:  # masks of latents have a channel
        values = values[:, 0]
    return Mask(values[None] if values.ndim == 2 else values)


def _sigmas(value: Any) -> Any:
    return value if isinstance(value, Sigmas) else Sigmas(_array(value, "a schedule of sigmas"))


def _latent(value: Any) -> Any:
    if isinstance(value, Latent):
        return value
    if not isinstance(value, Mapping) or "samples" not in value:
        raise InputError(f'a latent is {shown(value, 60)}, expected {{"samples": array}}')
    mask, places = value.get("noise_mask"), value.get("batch_index")
    others = {name: item for name, item in value.items() if name not in _LATENT_KEYS}
    return Latent(
        _array(value["samples"], "a latent"),
        None if mask is None else _mask(mask),
        None if places is None else tuple(int(place) for place in places),
        MappingProxyType(others),
    )


def _conditioning(value: Any) -> Any:
    if isinstance(value, Conditioning):
        return value
    if not isinstance(value, (list, tuple)) or not all(_is_entry(entry) for entry in value):
        raise InputError(f"a conditioning is {shown(value, 60)}, expected a list of [array, options]")
    entries = []
    for states, options in value:
        pooled = options.get(POOLED)
        others = {name: item for name, item in options.items() if name != POOLED}
        entries.append(
            Cond(
                _array(states, "a text condition"),
                None if pooled is None else _array(pooled, "a pooled text condition"),
                MappingProxyType(others),
            )
        )
    return Conditioning(tuple(entries))


_BY_KIND: Final[Mapping[type, Callable[[Any], Any]]] = {
    Image: _image,
    Mask: _mask,
    Sigmas: _sigmas,
    Latent: _latent,
    Conditioning: _conditioning,
}
_BY_TYPE: Final = {kind.SOCKET: freeze for kind, freeze in _BY_KIND.items()}  # type: ignore[attr-defined]

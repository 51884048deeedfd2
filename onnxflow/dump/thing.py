"""What a value is, as JSON: handles to models, samplers, guiders, noise, and anything that other nodes hand on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import partial
from pathlib import PurePath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from onnxflow.dump.numbers import short, statistics
from onnxflow.dump.part import Part, json_part, npz_part
from onnxflow.errors import OnnxflowError
from onnxflow.models.bundle import Bundle
from onnxflow.nodes.model_sampling import model_sampling
from onnxflow.sampling import Sampler
from onnxflow.sampling.samplers.table import SAMPLERS
from onnxflow.values import HANDLES, Cond, Conditioning, Handle, Image, Latent, Mask, Model

_DEEPEST: Final = 8
_MOST: Final = 100  # of the items of one list or mapping
_LONGEST: Final = 10_000  # of a text


def thing_parts(value: Any, type_: str) -> Iterator[Part]:
    """A JSON that says what the value is; for one that is an array, its numbers too."""
    found = plain(value)
    yield json_part({"type": type_, **(found if isinstance(found, dict) else {"value": found})})
    if isinstance(value, np.ndarray) and value.dtype != object:
        yield npz_part({"values": value})


def plain(value: Any, deep: int = 0) -> Any:
    """``value`` as JSON: numbers and texts as they are, arrays as shape and statistics, the rest by class and fields.

    The same for equal values in every process: nothing of it is an address in memory.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else f"{value[:_LONGEST]} ... ({len(value):,} characters)"
    if isinstance(value, np.generic):
        return plain(value.item(), deep)
    if isinstance(value, np.ndarray):
        return array_facts(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Enum):
        return value.name
    if deep >= _DEEPEST:
        return {"class": type(value).__name__}
    if isinstance(value, Mapping):
        found = {str(key): plain(item, deep + 1) for key, item in list(value.items())[:_MOST]}
        return found | ({"...": f"{len(value) - _MOST} more"} if len(value) > _MOST else {})
    if isinstance(value, (list, tuple)):
        items = [plain(item, deep + 1) for item in value[:_MOST]]
        return [*items, *([f"... {len(value) - _MOST} more"] if len(value) > _MOST else [])]
    if isinstance(value, (set, frozenset)):
        return sorted(str(plain(item, deep + 1)) for item in value)
    return _known(value, deep)


def array_facts(array: NDArray[Any]) -> dict[str, Any]:
    """Shape, type and statistics of an array."""
    facts = {"shape": list(array.shape), "dtype": str(array.dtype)}
    return facts | (statistics(array) if array.dtype.kind in "fiub" else {})


def _known(value: Any, deep: int) -> Any:
    if isinstance(value, HANDLES):
        return _handle(value, deep)
    if isinstance(value, Bundle):
        return {"name": value.name, "family": value.manifest.family, "folder": str(value.root)}
    if isinstance(value, Sampler):
        return {"class": "Sampler", "name": _sampler_name(value), **_fields(value, deep)}
    if isinstance(value, Image):
        return {"class": "Image", **array_facts(value.pixels)}
    if isinstance(value, Mask):
        return {"class": "Mask", **array_facts(value.values)}
    if isinstance(value, Latent):
        return {"class": "Latent", **array_facts(value.samples)}
    if isinstance(value, Conditioning):
        return {"class": "Conditioning", "entries": [condition_facts(entry) for entry in value.entries[:_MOST]]}
    if isinstance(value, partial):
        options = {name: plain(item, deep + 1) for name, item in value.keywords.items()}
        return {"function": _name(value.func), "options": options, **_positional(value, deep)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {"class": type(value).__name__, **_fields(value, deep)}
    if callable(value) and hasattr(value, "__qualname__"):
        return {"function": _name(value)}
    return {"class": type(value).__name__}


def condition_facts(entry: Cond) -> dict[str, Any]:
    """One text condition: its shape and statistics, whether it has a pooled output, and its options."""
    found: dict[str, Any] = {"cross_attn": array_facts(entry.cross_attn)}
    found["pooled"] = None if entry.pooled is None else array_facts(entry.pooled)
    return found | {"options": plain(dict(entry.extras), 1)}


def _handle(handle: Handle, deep: int) -> dict[str, Any]:
    """A handle to a model: whose, which networks it stands for, and what is changed about it."""
    source = handle.source
    components = source.manifest.components
    found: dict[str, Any] = {
        "class": type(handle).__name__,
        "model": source.name,
        "family": source.manifest.family,
        "folder": str(source.root),
        "preferred precision": source.preferred,
        "networks": {
            name: {
                "precisions": list(source.variants(name)),
                "inputs": {key: list(shape) for key, shape in components[name].inputs.items()},
                "outputs": {key: list(shape) for key, shape in components[name].outputs.items()},
            }
            for name in handle.COMPONENTS
            if name in components
        },
        "latent": {"channels": source.latent.channels, "factor": source.latent.factor, "scale": source.latent.scale},
    }
    if isinstance(handle, Model):
        found["trained for"] = _fields(source.sampling, deep)
        try:
            sampling = model_sampling(handle)
            found["noise levels"] = {
                "sigma_min": short(float(sampling.sigma_min)),
                "sigma_max": short(float(sampling.sigma_max)),
            }
        except OnnxflowError as error:
            found["noise levels"] = error.message
    patches = getattr(handle, "patches", None)
    return found | ({"patches": [plain(patch, deep + 1) for patch in patches]} if patches is not None else {})


def _fields(value: Any, deep: int) -> dict[str, Any]:
    return {field.name: plain(getattr(value, field.name), deep + 1) for field in dataclasses.fields(value)}


def _sampler_name(sampler: Sampler) -> str | None:
    """The name of the sampler, or of the one that it is with other options; None for one that has none."""
    whole = sampler.function.func if isinstance(sampler.function, partial) else sampler.function
    equal = [name for name, known in SAMPLERS.items() if known == sampler]
    alike = [name for name, known in SAMPLERS.items() if known.function is whole]
    return next(iter([*equal, *alike]), None)


def _name(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def _positional(value: partial[Any], deep: int) -> dict[str, Any]:
    return {"arguments": [plain(item, deep + 1) for item in value.args]} if value.args else {}

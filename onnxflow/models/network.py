"""One network of a checkpoint and the template that runs it: does each weight have its tensor, in the right shape?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Final

from onnxflow.errors import ModelError
from onnxflow.models.element_types import STORED
from onnxflow.models.layout.place import RELATIVES, Place
from onnxflow.models.template import Stored, Template, Weight, read_template
from onnxflow.models.tensor_header import ITEM_BYTES
from onnxflow.models.weights import Weights

FLOATS: Final = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
"""The types that a weight may be stored in."""

INPUT_CONVOLUTION: Final = "conv_in.weight"
_NORM: Final = "layer_norm1.weight"
_SHOWN: Final = 4


@dataclass(frozen=True, slots=True)
class Network:
    """A component's template by name, and where each of its weights lies; ``tokens`` is a text encoder's table, which
    its graph does not hold."""

    template: str
    places: Mapping[str, Place]
    tokens: Place | None = None


def network_of(
    component: str, template: str, places: Mapping[str, Place], weights: Weights, folder: Path, tokens: Place | None
) -> Network:
    """The network, whose places are those that the template in ``folder`` wants; ModelError lists all that do not
    fit."""
    wanted = read_template(folder, template)
    places = {name: _as_wanted(place, wanted.weights.get(name)) for name, place in places.items()}
    problems = [*_misfits(wanted, places, weights), *(_table_misfits(wanted, tokens, weights) if tokens else ())]
    if problems:
        more = f" and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        raise ModelError(
            f"the {component} is not the one that {template} runs: {'; '.join(problems[:_SHOWN])}{more}",
            where=str(weights.where),
            hint=RELATIVES,
        )
    return Network(template, {name: places[name] for name in wanted.weights}, tokens)


def parameters(network: Network) -> int:
    """How many numbers its weights are."""
    return sum(prod(place.shape) for place in network.places.values())


def stored_bytes(network: Network, weights: Weights) -> int:
    """Bytes of its weights as they are stored."""
    kinds = ((place, weights.info(place.key).dtype) for place in network.places.values())
    return sum(prod(place.shape) * ITEM_BYTES[kind] for place, kind in kinds)


def located(network: Network, weights: Weights) -> dict[str, Stored]:
    """Where each weight lies, for its template; a matrix that the file holds transposed is copied."""
    return {name: _stored(place, weights) for name, place in network.places.items()}


def _stored(place: Place, weights: Weights) -> Stored:
    info = weights.info(place.key)
    kind, width = STORED[info.dtype], ITEM_BYTES[info.dtype]
    if place.transposed:
        content = weights.transposed(place.key)
        return Stored(kind, place.shape, "", 0, len(content), content)
    first, length = 0, info.length
    if place.rows is not None:
        row = info.length // max(1, info.shape[0])
        first, length = place.rows[0] * row, (place.rows[1] - place.rows[0]) * row
    assert length == prod(place.shape) * width, "a place and its tensor differ"
    return Stored(kind, place.shape, weights.location(place.key), info.offset + first, length)


def _as_wanted(place: Place, wanted: Weight | None) -> Place:
    """A matrix in the place of a convolution of one pixel, or the other way about: the same numbers in one order."""
    if wanted is None or {2, 4} != {len(place.shape), len(wanted.shape)}:
        return place
    longer, shorter = sorted((place.shape, wanted.shape), key=len, reverse=True)
    return replace(place, shape=wanted.shape) if longer == (*shorter, 1, 1) else place


def _table_misfits(template: Template, tokens: Place, weights: Weights) -> Iterable[str]:
    """What is wrong with a text encoder's table of tokens, which is no part of its graph."""
    width = next((weight.shape[0] for name, weight in template.weights.items() if name.endswith(_NORM)), 0)
    if len(tokens.shape) != 2 or tokens.shape[1] != width:
        yield f"{tokens.key} has the shape {list(tokens.shape)}, expected [tokens, {width}]"
    elif weights.info(tokens.key).dtype not in FLOATS:
        yield f"{tokens.key} is stored as {weights.info(tokens.key).dtype}, known are {', '.join(FLOATS)}"


def _misfits(template: Template, places: Mapping[str, Place], weights: Weights) -> Iterable[str]:
    """What keeps the template from running with these weights, weight by weight."""
    for name, wanted in template.weights.items():
        place = places.get(name)
        if place is None:
            yield f"{name} is missing"
            continue
        info = weights.info(place.key)
        same = place.shape == wanted.shape
        if name == INPUT_CONVOLUTION and len(place.shape) == 4:  # wider where it inpaints
            same = place.shape[:1] + place.shape[2:] == wanted.shape[:1] + wanted.shape[2:]
        if not same:
            yield f"{place.key} has the shape {list(place.shape)}, expected {list(wanted.shape)}"
        elif info.dtype not in FLOATS:
            yield f"{place.key} is stored as {info.dtype}, known are {', '.join(FLOATS)}"
    for name in places.keys() - template.weights.keys():
        yield f"{places[name].key} is not part of it"

"""Any value on a link as files: which kind has which."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from onnxflow.dump.conditioning import conditioning_parts
from onnxflow.dump.image import beyond, image_parts, mask_parts
from onnxflow.dump.latent import latent_parts
from onnxflow.dump.part import Part, text_part
from onnxflow.dump.sigmas import sigmas_parts
from onnxflow.dump.thing import thing_parts
from onnxflow.values import Array, Conditioning, Handle, Image, Latent, Mask, Sigmas

_MOST_BITS: Final = 10_000
"""Larger numbers are written in hexadecimal digits: Python refuses to write them in decimal ones."""


def parts_of(value: Any, type_: str, heading: str, model: Handle | None) -> Iterator[Part]:
    """The files of ``value``, by what it is, not by what its output says: ``type_`` is the output's, ``heading`` stands
    above plots, ``model`` says the colours of latents."""
    if isinstance(value, Image):
        return image_parts(value)
    if isinstance(value, Mask):
        return mask_parts(value)
    if isinstance(value, Latent):
        return latent_parts(value, heading, model)
    if isinstance(value, Conditioning):
        return conditioning_parts(value, heading)
    if isinstance(value, Sigmas):
        return sigmas_parts(value, heading)
    if isinstance(value, bool):
        return iter([text_part(f"{str(value).lower()}\n")])
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return iter([text_part(f"{value:#x}\n")])
    if isinstance(value, (int, float)):
        return iter([text_part(f"{value!r}\n")])
    if isinstance(value, str):
        return iter([text_part(value)])
    return thing_parts(value, type_)


def remarks_of(value: Any) -> list[str]:
    """What is odd about a value: NaN, infinity, and pictures out of range."""
    found = []
    for name, array in _arrays(value):
        nan, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
        found += [f"{name}{nan:,} of {array.size:,} numbers are NaN"] if nan else []
        found += [f"{name}{infinite:,} of {array.size:,} numbers are infinite"] if infinite else []
        if isinstance(value, (Image, Mask)):
            found += [f"{count:,} of {array.size:,} numbers are {how}" for how, count in beyond(array).items()]
    return found


def _arrays(value: Any) -> list[tuple[str, Array]]:
    if isinstance(value, Image):
        return [("", value.pixels)]
    if isinstance(value, (Mask, Sigmas)):
        return [("", value.values)]
    if isinstance(value, Latent):
        return [("", value.samples)]
    if isinstance(value, Conditioning):
        several = len(value.entries) > 1
        return [(f"entry {k + 1}: " if several else "", entry.cross_attn) for k, entry in enumerate(value.entries)]
    return []

"""Latents calculated with: LatentAdd, -Subtract, -Interpolate, -Blend. The second takes the first's size."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from onnxflow.errors import InputError
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Float
from onnxflow.pixels.fit import repeated
from onnxflow.resize import resize
from onnxflow.values import Array, Latent

Ratio = Annotated[float, Float(min=0.0, max=1.0, step=0.01)]
Factor = Annotated[float, Float(min=0, max=1, step=0.01)]


@node("LatentAdd", category="latent/advanced")
def latent_add(samples1: Latent, samples2: Latent) -> Latent:
    """The sum."""
    return samples1.with_samples(samples1.samples + like(samples1, samples2))


@node("LatentSubtract", category="latent/advanced")
def latent_subtract(samples1: Latent, samples2: Latent) -> Latent:
    """The first less the second."""
    return samples1.with_samples(samples1.samples - like(samples1, samples2))


@node("LatentInterpolate", category="latent/advanced")
def latent_interpolate(samples1: Latent, samples2: Latent, ratio: Ratio = 1.0) -> Latent:
    """Between the second (ratio 0) and the first (1): each cell's vector in the direction of the mixed directions, as
    long as the mixed lengths. A vector of zeros has no direction."""
    one, other = samples1.samples, like(samples1, samples2)
    share, rest = np.float32(ratio), np.float32(1.0 - ratio)
    direction = _unit(one) * share + _unit(other) * rest
    return samples1.with_samples(_unit(direction) * (_length(one) * share + _length(other) * rest))


@node("LatentBlend", category="_for_testing", display_name="Latent Blend")
def latent_blend(samples1: Latent, samples2: Latent, blend_factor: Factor = 0.5) -> Latent:
    """``blend_factor`` of the first and the rest of the second, which takes the first's size; a single one goes with
    each of the other's."""
    one, other = samples1.samples, fitted(samples1, samples2, "bicubic")
    if len(one) != len(other) and 1 not in (len(one), len(other)):
        raise InputError(
            f"{len(one)} latents and {len(other)} latents cannot be blended",
            hint="give both the same number, or one of them a single latent",
        )
    blended = one * np.float32(blend_factor) + other * np.float32(1 - blend_factor)
    return samples1.with_samples(blended) if len(blended) == len(one) else replace(samples2, samples=blended)


def like(one: Latent, other: Latent, method: str = "bilinear") -> Array:
    """The samples of ``other``, cut and resized to the size of ``one``, as many as it has; InputError for another
    number of channels."""
    return repeated(fitted(one, other, method), len(one.samples))


def fitted(one: Latent, other: Latent, method: str) -> Array:
    """The samples of ``other``, cut and resized to the size of ``one``; InputError for another number of channels."""
    check_channels(one, other)
    samples, shape = other.samples, one.samples.shape
    if samples.shape[2:] != shape[2:]:
        samples = resize(samples, shape[3], shape[2], method, "center")
    return samples


def check_channels(one: Latent, other: Latent) -> None:
    """InputError when two latents have not as many channels."""
    if one.samples.shape[1] != other.samples.shape[1]:
        raise InputError(
            f"one latent has {one.samples.shape[1]} channels, the other {other.samples.shape[1]}",
            hint="use latents of models of one family",
        )


def _length(values: Array) -> Array:
    found: Array = np.sqrt((values * values).sum(axis=1, keepdims=True))
    return found


def _unit(values: Array) -> Array:
    length = _length(values)
    return np.divide(values, length, out=np.zeros_like(values), where=length != 0)

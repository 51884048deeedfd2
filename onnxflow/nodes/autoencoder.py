"""An autoencoder's networks, called for one picture: whole where memory suffices, else tile by tile, which is said."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import sqrt
from typing import Final

import numpy as np

from onnxflow.errors import InputError, MemoryLimitError
from onnxflow.nodes.component import output_as
from onnxflow.nodes.context import Context
from onnxflow.pixels.tiles import Tiling, averaged, count_tiles, three_tilings
from onnxflow.values import Array, Vae

SIDES: Final = (512, 256)
"""Pixels a side of the tiles that are tried when a whole picture does not fit."""

OVERLAP: Final = 64

# Bytes of memory that a call takes on the CPU, measured with Stable Diffusion 1.5's at 256 to 768 pixels: for each
# pixel, and for each pair of tokens (of 8 x 8 pixels) in its attention. Smaller networks take less, by their width.
_BYTES_A_PIXEL: Final = {"vae_decoder": 4000, "vae_encoder": 1600}
_BYTES_A_PAIR: Final = 16
_USUAL_BYTES: Final = {"vae_decoder": 99_000_000, "vae_encoder": 68_000_000}  # of its weights, in half precision

Tilings = tuple[Tiling, ...]


def decode(ctx: Context, vae: Vae, latent: Array, tilings: Tilings | None = None) -> Array:
    """The picture [1, 8h, 8w, 3] in 0..1 of a latent [1, c, h, w]; in these ``tilings``, or as memory allows. The
    errors of running it."""
    factor = vae.source.latent.factor
    session = ctx.session(vae, "vae_decoder")

    def compute(part: Array) -> Array:
        shape = (1, 3, part.shape[2] * factor, part.shape[3] * factor)
        return output_as(session.run({"latent": part}), "image", "vae_decoder", vae.source, shape)

    def cut(side: int) -> Tilings:
        return three_tilings(side // factor, OVERLAP // factor)

    pixels = (latent.shape[2] * factor, latent.shape[3] * factor)
    found = _computed(ctx, vae, "vae_decoder", latent, compute, Fraction(factor), cut, pixels, tilings)
    picture: Array = np.clip(found * np.float32(0.5) + np.float32(0.5), 0, 1)
    return picture.transpose(0, 2, 3, 1)


def encode(ctx: Context, vae: Vae, picture: Array, tilings: Tilings | None = None) -> Array:
    """The latent [1, c, h/8, w/8] of a picture [1, h, w, 3] in 0..1; in these ``tilings``, or as memory allows. The
    errors of running it."""
    factor, channels = vae.source.latent.factor, vae.source.latent.channels
    session = ctx.session(vae, "vae_encoder")

    def compute(part: Array) -> Array:
        shape = (1, channels, part.shape[2] // factor, part.shape[3] // factor)
        return output_as(session.run({"image": part}), "mean", "vae_encoder", vae.source, shape)

    def cut(side: int) -> Tilings:
        return three_tilings(side, OVERLAP)

    image = np.ascontiguousarray(picture[:, :, :, :3].transpose(0, 3, 1, 2) * np.float32(2) - np.float32(1))
    scale = Fraction(1, factor)
    return _computed(ctx, vae, "vae_encoder", image, compute, scale, cut, picture.shape[1:3], tilings)


def needed(vae: Vae, component: str, height: int, width: int) -> int:
    """About how many bytes of memory a call takes for a picture of so many pixels."""
    source = vae.source
    weights = source.weight_bytes(component, source.variant_of(component))
    narrower = min(1.0, sqrt(weights / _USUAL_BYTES[component]))
    pairs = (height * width / 64) ** 2
    return int(narrower * _BYTES_A_PIXEL[component] * height * width + _BYTES_A_PAIR * pairs)


def _computed(
    ctx: Context,
    vae: Vae,
    component: str,
    values: Array,
    compute: Callable[[Array], Array],
    scale: Fraction,
    cut: Callable[[int], Tilings],
    pixels: tuple[int, int],
    tilings: Tilings | None,
) -> Array:
    if tilings is not None:
        return _in_tiles(ctx, values, tilings, compute, scale)
    free = ctx.free_memory()
    reason = ""
    if free is None or needed(vae, component, *pixels) <= free:
        try:
            return compute(values)
        except MemoryLimitError as error:
            failed: MemoryLimitError | None = error
            reason = "the whole picture did not fit into the memory"
    else:
        failed = None
        wanted = needed(vae, component, *pixels)
        reason = f"the whole picture would take about {_size(wanted)} of memory, {_size(free)} are free"
    for side in SIDES:
        too_large = free is not None and side != SIDES[-1] and _tile_bytes(vae, component, side) > free
        if max(pixels) <= side // 2 or too_large:
            continue
        try:
            found = _in_tiles(ctx, values, cut(side), compute, scale)
        except MemoryLimitError as error:
            failed = error
            continue
        ctx.remark(f"{component}: in tiles of {side} pixels, averaged over three cuts: {reason}")
        return found
    if failed is None:  # smaller than a tile: nothing is to be won by cutting it
        return compute(values)
    raise failed


def _tile_bytes(vae: Vae, component: str, side: int) -> int:
    return needed(vae, component, 2 * side, side // 2)


def _in_tiles(
    ctx: Context, values: Array, tilings: Tilings, compute: Callable[[Array], Array], scale: Fraction
) -> Array:
    """The mean of all cuts, with every tile told as a step."""
    total = count_tiles(tilings, *values.shape[2:])
    done = 0

    def one(part: Array) -> Array:
        nonlocal done
        ctx.check_cancelled()
        found = compute(part)
        done += 1
        ctx.progress(done, total)
        return found

    ctx.begin(total)
    return averaged(values, tilings, one, scale)


def check_latent(vae: Vae, latent: Array) -> None:
    """InputError for a latent that the autoencoder does not take."""
    expected = vae.source.latent.channels
    if latent.shape[1] != expected:
        raise InputError(
            f"the latent has {latent.shape[1]} channels, the VAE of {vae.source.name} takes {expected}",
            hint="decode it with the VAE of the model that made it",
        )
    if not latent.size:
        raise InputError(f"the latent is empty: its shape is {list(latent.shape)}")
    if not np.isfinite(latent).all():
        raise InputError("the latent contains NaN or infinity", hint="look at the node it comes from")


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"

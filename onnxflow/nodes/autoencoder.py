"""An autoencoder's networks, called for one picture after the other: whole where memory suffices, else tile by tile,
which is said."""

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
_USUAL_WEIGHTS: Final = {"vae_decoder": 49_500_000, "vae_encoder": 34_000_000}  # where a file is not told, in half

Tilings = tuple[Tiling, ...]


def decode(ctx: Context, vae: Vae, latent: Array, tilings: Tilings | None = None) -> Array:
    """Pictures [b, 8h, 8w, 3] in 0..1 of latents [b, c, h, w]; in these ``tilings``, or as memory allows. The errors
    of running it."""
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
    """Latents [b, c, h/8, w/8] of pictures [b, h, w, 3] in 0..1; in these ``tilings``, or as memory allows. The errors
    of running it."""
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
    variant = source.variant_of(component)
    weights = source.parameters(component, variant) or source.weight_bytes(component, variant) // 2
    narrower = min(1.0, sqrt(weights / _USUAL_WEIGHTS[component]))
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
    """``compute`` of one after the other: each is the peak of a run's memory. How is decided once, for what a call took
    may stay with ONNX Runtime for the next one."""
    sides, reason = _sides(ctx, vae, component, pixels)
    found: list[Array] = []
    while len(found) < len(values):
        one = values[len(found) : len(found) + 1]
        cuts = tilings or (cut(sides[0]) if sides[0] else None)
        try:
            found.append(_in_tiles(ctx, one, cuts, compute, scale, len(found), len(values)))
        except MemoryLimitError:
            sides = sides[1:]
            if tilings is not None or not sides:
                raise
            reason = "the whole picture did not fit into the memory"
    if sides[0] and tilings is None:
        ctx.remark(f"{component}: in tiles of {sides[0]} pixels, averaged over three cuts: {reason}")
    return np.concatenate(found)


def _sides(ctx: Context, vae: Vae, component: str, pixels: tuple[int, int]) -> tuple[tuple[int, ...], str]:
    """The sides of tiles to try in turn, 0 for the whole picture, and why it is not the first."""
    sides = (0, *(side for side in SIDES if max(pixels) > side // 2))
    free = ctx.free_memory()
    if free is None or len(sides) == 1:
        return sides, ""
    wanted = needed(vae, component, *pixels)
    if wanted <= free:
        return sides, ""
    fitting = tuple(side for side in sides[1:] if needed(vae, component, 2 * side, side // 2) <= free)
    reason = f"the whole picture would take about {_size(wanted)} of memory, {_size(free)} are free"
    return fitting or sides[-1:], reason


def _in_tiles(
    ctx: Context,
    values: Array,
    tilings: Tilings | None,
    compute: Callable[[Array], Array],
    scale: Fraction,
    before: int,
    count: int,
) -> Array:
    """The mean of all cuts, or the whole, of the picture after ``before`` others of ``count``; every tile is a step."""
    if tilings is None:
        if not before:
            ctx.begin(count)
        whole = compute(values)
        ctx.progress(before + 1, count)
        return whole
    tiles = count_tiles(tilings, *values.shape[2:])
    done = before * tiles

    def one(part: Array) -> Array:
        nonlocal done
        ctx.check_cancelled()
        found = compute(part)
        done += 1
        ctx.progress(done, count * tiles)
        return found

    if not before:
        ctx.begin(count * tiles)
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

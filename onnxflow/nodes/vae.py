"""Between pictures and latents: VAEDecode, VAEEncode, the same in tiles, VAEEncodeForInpaint."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from onnxflow.errors import InputError
from onnxflow.nodes.autoencoder import check_latent, decode, encode
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Int
from onnxflow.pixels.fit import repeated, resized_masks
from onnxflow.pixels.morphology import dilated
from onnxflow.pixels.outpaint import GREY
from onnxflow.pixels.tiles import three_tilings
from onnxflow.values import Array, Image, Latent, Mask, Vae

DecodedTile = Annotated[int, Int(min=64, max=4096, step=32)]
EncodedTile = Annotated[int, Int(min=64, max=4096, step=64)]
Overlap = Annotated[int, Int(min=0, max=4096, step=32)]
Frames = Annotated[int, Int(min=8, max=4096, step=4)]
FramesShared = Annotated[int, Int(min=4, max=4096, step=4)]
Margin = Annotated[int, Int(min=0, max=64, step=1)]


@node("VAEDecode", category="latent", display_name="VAE Decode", runs=("vae_decoder",))
def vae_decode(ctx: Context, samples: Latent, vae: Vae) -> Image:
    """Pictures [b, 8h, 8w, 3] in 0..1 from latents [b, c, h, w]."""
    check_latent(vae, samples.samples)
    return Image(decode(ctx, vae, samples.samples))


@node("VAEDecodeTiled", category="_for_testing", display_name="VAE Decode (Tiled)", runs=("vae_decoder",))
def vae_decode_tiled(
    ctx: Context,
    samples: Latent,
    vae: Vae,
    tile_size: DecodedTile = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FramesShared = 8,
) -> Image:
    """Pictures [b, 8h, 8w, 3] in 0..1 from latents, in tiles of so many pixels, averaged over tall, wide and square
    ones; the temporal sizes are of videos."""
    latent, factor = samples.samples, vae.source.latent.factor
    check_latent(vae, latent)
    shared = overlap if tile_size >= 4 * overlap else tile_size // 4
    tilings = three_tilings(tile_size // factor, shared // factor)
    return Image(decode(ctx, vae, latent, tilings))


@node("VAEEncode", category="latent", display_name="VAE Encode", runs=("vae_encoder",))
def vae_encode(ctx: Context, pixels: Image, vae: Vae) -> Latent:
    """Latents [b, c, h/8, w/8] from pictures, which are first cropped around their centre to whole latents."""
    return Latent(encode(ctx, vae, cropped(pixels.pixels, vae.source.latent.factor)))


@node("VAEEncodeTiled", category="_for_testing", display_name="VAE Encode (Tiled)", runs=("vae_encoder",))
def vae_encode_tiled(
    ctx: Context,
    pixels: Image,
    vae: Vae,
    tile_size: EncodedTile = 512,
    overlap: Overlap = 64,
    temporal_size: Frames = 64,
    temporal_overlap: FramesShared = 8,
) -> Latent:
    """Latents [b, c, h/8, w/8] from pictures, in tiles of so many pixels, averaged over square, wide and tall ones; the
    temporal sizes are of videos."""
    pictures = cropped(pixels.pixels, vae.source.latent.factor)
    tilings = three_tilings(tile_size, overlap)
    return Latent(encode(ctx, vae, pictures, tilings))


@node(
    "VAEEncodeForInpaint", category="latent/inpaint", display_name="VAE Encode (for Inpainting)", runs=("vae_encoder",)
)
def vae_encode_for_inpaint(ctx: Context, pixels: Image, vae: Vae, mask: Mask, grow_mask_by: Margin = 6) -> Latent:
    """Latents of the pictures with grey where the mask, which takes their size, is above one half; sampling draws
    there, every pixel of the mask being a square of ``grow_mask_by`` pixels a side."""
    factor = vae.source.latent.factor
    whole = pixels.pixels[..., :3]
    covers = repeated(np.rint(resized_masks(mask.values, *whole.shape[1:3])), len(whole))
    covers = cropped(covers[..., np.newaxis], factor)[..., :1]
    pictures = cropped(whole, factor) - GREY
    pictures *= np.float32(1) - covers
    pictures += GREY
    found = vae_encode.function(ctx, Image(pictures), vae)
    assert isinstance(found, Latent)
    grown = dilated(covers, grow_mask_by) if grow_mask_by else covers
    return replace(found, noise_mask=Mask(grown[..., 0]))


def cropped(pixels: Array, factor: int) -> Array:
    """The middle of ``pixels`` [b,h,w,c], with sides that ``factor`` divides; InputError when nothing would be left."""
    height, width, channels = pixels.shape[1:]
    if height < factor or width < factor:
        raise InputError(
            f"the picture is {width} x {height} pixels, smaller than one latent ({factor} x {factor})",
            hint="scale the picture up first",
        )
    if channels < 3:
        pixels = np.repeat(pixels[..., :1], 3, axis=3)
    top, left = height % factor // 2, width % factor // 2
    return pixels[:, top : top + height // factor * factor, left : left + width // factor * factor]

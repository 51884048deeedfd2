"""Between pictures and latents: VAEDecode, VAEEncode, VAEEncodeForInpaint."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from onnxflow.errors import InputError
from onnxflow.nodes.component import output_as
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import node
from onnxflow.nodes.widgets import Int
from onnxflow.pixels.fit import repeated, resized_masks
from onnxflow.pixels.morphology import dilated
from onnxflow.pixels.outpaint import GREY
from onnxflow.values import Array, Image, Latent, Mask, Vae

Margin = Annotated[int, Int(min=0, max=64, step=1)]


@node("VAEDecode", category="latent", display_name="VAE Decode", runs=("vae_decoder",))
def vae_decode(ctx: Context, samples: Latent, vae: Vae) -> Image:
    """Pictures [b, 8h, 8w, 3] in 0..1 from latents [b, c, h, w]."""
    latent = samples.samples
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
    factor = vae.source.latent.factor
    shape = (1, 3, latent.shape[2] * factor, latent.shape[3] * factor)
    session = ctx.session(vae, "vae_decoder")
    pictures = []
    ctx.begin(len(latent))
    for index in range(len(latent)):  # one by one: the decoder is the peak of a run's memory
        outputs = session.run({"latent": latent[index : index + 1]})
        decoded = output_as(outputs, "image", "vae_decoder", vae.source, shape)
        pictures.append(np.clip(decoded * np.float32(0.5) + np.float32(0.5), 0, 1))
        ctx.progress(index + 1, len(latent))
    return Image(np.concatenate(pictures).transpose(0, 2, 3, 1))


@node("VAEEncode", category="latent", display_name="VAE Encode", runs=("vae_encoder",))
def vae_encode(ctx: Context, pixels: Image, vae: Vae) -> Latent:
    """Latents [b, c, h/8, w/8] from pictures, which are first cropped around their centre to whole latents."""
    factor = vae.source.latent.factor
    pictures = cropped(pixels.pixels, factor)
    shape = (1, vae.source.latent.channels, pictures.shape[1] // factor, pictures.shape[2] // factor)
    session = ctx.session(vae, "vae_encoder")
    means = []
    ctx.begin(len(pictures))
    for index in range(len(pictures)):
        image = pictures[index : index + 1, :, :, :3].transpose(0, 3, 1, 2) * np.float32(2) - np.float32(1)
        outputs = session.run({"image": np.ascontiguousarray(image)})
        means.append(output_as(outputs, "mean", "vae_encoder", vae.source, shape))
        ctx.progress(index + 1, len(pictures))
    return Latent(np.concatenate(means))


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

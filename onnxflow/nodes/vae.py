"""Between pictures and latents: VAEDecode, VAEEncode."""

from __future__ import annotations

import numpy as np

from onnxflow.errors import InputError
from onnxflow.nodes.component import output_as
from onnxflow.nodes.context import Context
from onnxflow.nodes.spec import node
from onnxflow.values import Array, Image, Latent, Vae


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

"""The four networks of a Stable Diffusion 1.x model, wrapped so that their inputs and outputs are the component
contract's.

Every wrapper holds its network as `network`; the weights' names in the graph are the network's own.
"""

from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from onnxflow.export.attention import FusedProcessor, attend

Dims = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Component:
    """One graph to be exported: a module, example inputs (batch of two, uneven sizes), and the names of every axis."""

    name: str
    module: nn.Module
    examples: dict[str, Tensor]
    inputs: dict[str, Dims]
    outputs: dict[str, Dims]


class TextEncoder(nn.Module):
    """CLIP's text encoder from token embeddings on: [b, s, d] and the index of the end of text [b]."""

    def __init__(self, network: CLIPTextModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs_embeds: Tensor, eos_index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden states [layers + 1, b, s, d], the same final-normed, and the pooled final-normed state [b, d]."""
        positions = self.network.embeddings.position_embedding.weight
        states = inputs_embeds + positions[: inputs_embeds.shape[1]]
        hidden = [states]
        for layer in self.network.encoder.layers:
            normed = layer.layer_norm1(states)
            attention = layer.self_attn
            mixed = attend(
                attention.q_proj(normed),
                attention.k_proj(normed),
                attention.v_proj(normed),
                attention.num_heads,
                causal=True,
            )
            states = states + attention.out_proj(mixed)
            states = states + layer.mlp(layer.layer_norm2(states))
            hidden.append(states)
        stacked = torch.stack(hidden)
        normed_all = self.network.final_layer_norm(stacked)
        where = eos_index.reshape(-1, 1, 1).expand(-1, 1, inputs_embeds.shape[2])
        return stacked, normed_all, normed_all[-1].gather(1, where)[:, 0]


class Unet(nn.Module):
    """The denoiser with ControlNet residuals, which broadcast: zeros of [1, 1, 1, 1] leave it alone."""

    def __init__(self, network: UNet2DConditionModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, *residuals: Tensor) -> Tensor:
        """Predicted noise (or v) [b, c, h, w]."""
        return self.network(
            sample,
            timestep,
            encoder_hidden_states=encoder_hidden_states,
            down_block_additional_residuals=residuals[:-1],
            mid_block_additional_residual=residuals[-1],
            return_dict=False,
        )[0]


class VaeEncoder(nn.Module):
    """Image [b, 3, 8h, 8w] in -1..1 to the mean and log variance of its unscaled latents."""

    def __init__(self, network: AutoencoderKL) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logvar [b, 4, h, w]; logvar is clamped to -30..20 as in training."""
        moments = self.network.quant_conv(self.network.encoder(image))
        mean, logvar = moments.chunk(2, 1)
        return mean, logvar.clamp(-30.0, 20.0)


class VaeDecoder(nn.Module):
    """Unscaled latents [b, 4, h, w] to an image in about -1..1."""

    def __init__(self, network: AutoencoderKL) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor) -> Tensor:
        """Image [b, 3, 8h, 8w]."""
        image: Tensor = self.network.decoder(self.network.post_quant_conv(latent))
        return image


def _example(*shape: int) -> Tensor:
    """Normal numbers, the same every time: an export must not depend on chance."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


def text_encoder(network: CLIPTextModel) -> Component:
    """The component `text_encoder`."""
    width, longest = network.config.hidden_size, network.config.max_position_embeddings
    layers = network.config.num_hidden_layers + 1
    return Component(
        "text_encoder",
        TextEncoder(network).eval(),
        {"inputs_embeds": _example(2, longest, width), "eos_index": torch.tensor([5, longest - 1])},
        {"inputs_embeds": ("batch", "tokens", width), "eos_index": ("batch",)},
        {
            "hidden_states": (layers, "batch", "tokens", width),
            "normed_hidden_states": (layers, "batch", "tokens", width),
            "pooled": ("batch", width),
        },
    )


def unet(network: UNet2DConditionModel) -> Component:
    """The component `unet`; changes the network's attention and its rule for odd sizes in place."""
    network.set_attn_processor(FusedProcessor())
    network.num_upsamplers = 16  # so every size counts as uneven, and the sizes to upsample to are computed, not frozen
    channels = network.config.in_channels
    told = network.config.cross_attention_dim
    size = 12
    examples = {
        "sample": _example(2, channels, size, size + 2),
        "timestep": torch.tensor([10.0, 700.0]),
        "encoder_hidden_states": _example(2, 77, told),
    }
    inputs: dict[str, Dims] = {
        "sample": ("batch", channels, "height", "width"),
        "timestep": ("batch",),
        "encoder_hidden_states": ("batch", "tokens", told),
    }
    for name, shape in residual_shapes(network, 2, size, size + 2).items():
        examples[name] = _example(*shape)
        inputs[name] = tuple(f"{name}_{axis}" for axis in ("batch", "channels", "height", "width"))
    return Component(
        "unet", Unet(network).eval(), examples, inputs, {"out_sample": ("batch", channels, "height", "width")}
    )


def residual_shapes(network: UNet2DConditionModel, batch: int, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the ControlNet residuals of latents [batch, 4, height, width], in the order of the inputs."""
    channels = network.config.block_out_channels
    shapes = [(batch, channels[0], height, width)]
    for level, width_of_level in enumerate(channels):
        layers = network.config.layers_per_block
        count = layers if isinstance(layers, int) else layers[level]
        shapes += [(batch, width_of_level, height, width)] * count
        if level < len(channels) - 1:
            height, width = (height + 1) // 2, (width + 1) // 2
            shapes.append((batch, width_of_level, height, width))
    named = {f"down_residual_{index}": shape for index, shape in enumerate(shapes)}
    return {**named, "mid_residual": (batch, channels[-1], height, width)}


def vae_encoder(network: AutoencoderKL) -> Component:
    """The component `vae_encoder`; changes the network's attention in place."""
    network.set_attn_processor(FusedProcessor())
    channels = network.config.latent_channels
    latent: Dims = ("batch", channels, "height", "width")
    return Component(
        "vae_encoder",
        VaeEncoder(network).eval(),
        {"image": _example(2, 3, 48, 64).clamp(-1, 1)},
        {"image": ("batch", 3, "image_height", "image_width")},
        {"mean": latent, "logvar": latent},
    )


def vae_decoder(network: AutoencoderKL) -> Component:
    """The component `vae_decoder`; changes the network's attention in place."""
    network.set_attn_processor(FusedProcessor())
    channels = network.config.latent_channels
    return Component(
        "vae_decoder",
        VaeDecoder(network).eval(),
        {"latent": _example(2, channels, 6, 8)},
        {"latent": ("batch", channels, "height", "width")},
        {"image": ("batch", 3, "image_height", "image_width")},
    )

"""The networks of a Stable Diffusion model, wrapped so that their inputs and outputs are the component
contract's.

Every wrapper holds its network as `network`; the weights' names in the graph are the network's own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from onnxflow.errors import ModelError
from onnxflow.export.attention import FusedProcessor, attend
from onnxflow.export.source import UNET, VAE, Facts

Dims = tuple[str | int, ...]
TOKENS = 9  # of the examples: as few as show that texts and pictures may have any size


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

    def __init__(self, network: CLIPTextModel | CLIPTextModelWithProjection) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs_embeds: Tensor, eos_index: Tensor) -> tuple[Tensor, ...]:
        """Hidden states [layers + 1, b, s, d], the same final-normed, the pooled final-normed state [b, d], and, where
        the network has a projection, its product with that [b, p]."""
        network = text_model(self.network)
        positions = network.embeddings.position_embedding.weight
        states = inputs_embeds + positions[: inputs_embeds.shape[1]]
        hidden = [states]
        for layer in network.encoder.layers:
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
        normed_all = network.final_layer_norm(stacked)
        where = eos_index.reshape(-1, 1, 1).expand(-1, 1, inputs_embeds.shape[2])
        pooled = normed_all[-1].gather(1, where)[:, 0]
        outputs = (stacked, normed_all, pooled)
        return (*outputs, self.network.text_projection(pooled)) if has_projection(self.network) else outputs


def text_model(network: CLIPTextModel | CLIPTextModelWithProjection) -> CLIPTextModel:
    """The encoder itself, without its projection."""
    return network.text_model if has_projection(network) else network


def has_projection(network: CLIPTextModel | CLIPTextModelWithProjection) -> bool:
    """Whether a text encoder has a projected output."""
    return hasattr(network, "text_projection")


class Unet(nn.Module):
    """The denoiser with ControlNet residuals, which broadcast: zeros of [1, 1, 1, 1] leave it alone.

    `told` names what it is told besides the text: text_embeds and time_ids (SDXL), timestep_cond (LCM).
    """

    def __init__(self, network: UNet2DConditionModel, told: tuple[str, ...]) -> None:
        super().__init__()
        self.network = network
        self.told = told

    def forward(self, sample: Tensor, timestep: Tensor, encoder_hidden_states: Tensor, *others: Tensor) -> Tensor:
        """Predicted noise (or v) [b, c, h, w]."""
        facts = dict(zip(self.told, others, strict=False))
        residuals = others[len(self.told) :]
        added = {name: facts[name] for name in ("text_embeds", "time_ids") if name in facts}
        return self.network(
            sample,
            timestep,
            encoder_hidden_states=encoder_hidden_states,
            timestep_cond=facts.get("timestep_cond"),
            added_cond_kwargs=added or None,
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


def text_encoder(network: CLIPTextModel | CLIPTextModelWithProjection, name: str = "text_encoder") -> Component:
    """The component `text_encoder`, or `text_encoder_2`."""
    config = network.config
    width, layers = config.hidden_size, config.num_hidden_layers + 1
    outputs: dict[str, Dims] = {
        "hidden_states": (layers, "batch", "tokens", width),
        "normed_hidden_states": (layers, "batch", "tokens", width),
        "pooled": ("batch", width),
    }
    if has_projection(network):
        outputs["projected"] = ("batch", config.projection_dim)
    return Component(
        name,
        TextEncoder(network).eval(),
        {"inputs_embeds": _example(2, TOKENS, width), "eos_index": torch.tensor([5, TOKENS - 1])},
        {"inputs_embeds": ("batch", "tokens", width), "eos_index": ("batch",)},
        outputs,
    )


def unet(network: UNet2DConditionModel, pooled: int | None = None) -> Component:
    """The component `unet`; changes the network's attention and its rule for odd sizes in place.

    `pooled` is the width of the projected text that SDXL's denoiser is told, None for others.
    """
    network.set_attn_processor(FusedProcessor())
    network.num_upsamplers = 16  # so every size counts as uneven, and the sizes to upsample to are computed, not frozen
    config = network.config
    channels, told = config.in_channels, config.cross_attention_dim
    size = 12
    examples = {
        "sample": _example(2, channels, size, size + 2),
        "timestep": torch.tensor([10.0, 700.0]),
        "encoder_hidden_states": _example(2, TOKENS, told),
    }
    inputs: dict[str, Dims] = {
        "sample": ("batch", channels, "height", "width"),
        "timestep": ("batch",),
        "encoder_hidden_states": ("batch", "tokens", told),
    }
    facts = told_facts(network, pooled)
    for name, width in facts.items():
        examples[name] = 512 * _example(2, width).abs() if name == "time_ids" else _example(2, width)
        inputs[name] = ("batch", width)
    for name, shape in residual_shapes(network, 2, size, size + 2).items():
        examples[name] = _example(*shape)
        inputs[name] = tuple(f"{name}_{axis}" for axis in ("batch", "channels", "height", "width"))
    return Component(
        "unet",
        Unet(network, tuple(facts)).eval(),
        examples,
        inputs,
        {"out_sample": ("batch", config.out_channels, "height", "width")},
    )


def told_facts(network: UNet2DConditionModel, pooled: int | None) -> dict[str, int]:
    """What a denoiser is told besides the text, and how many numbers each is.

    SDXL: text_embeds, and time_ids, which are six (height and width, top and left of the crop, height and width wanted)
    or for the refiner five (an aesthetic score instead of the last two). LCM: timestep_cond, how strong guidance is.
    ModelError when `pooled` does not fit the network.
    """
    config = network.config
    facts: dict[str, int] = {}
    if config.addition_embed_type == "text_time":
        ids, rest = divmod(config.projection_class_embeddings_input_dim - (pooled or 0), config.addition_time_embed_dim)
        if pooled is None or rest or ids not in (5, 6):
            raise ModelError(
                f"the unet is told {config.projection_class_embeddings_input_dim} numbers besides the text, which a "
                f"projected text of width {pooled} and a picture's sizes are not",
                hint="unet/ and text_encoder_2/ are of two models: copy the folder again",
            )
        facts |= {"text_embeds": pooled, "time_ids": ids}
    if config.time_cond_proj_dim is not None:
        facts["timestep_cond"] = config.time_cond_proj_dim
    return facts


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
        {"image": _example(2, 3, 24, 32).clamp(-1, 1)},
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
        {"latent": _example(2, channels, 3, 4)},
        {"latent": ("batch", channels, "height", "width")},
        {"image": ("batch", 3, "image_height", "image_width")},
    )


def components_of(part: str, network: nn.Module, facts: Facts) -> Iterator[Component]:
    """The graphs that are made of one of a model's networks."""
    if part == UNET:
        yield unet(network, facts.texts[-1].projection if facts.family.startswith("sdxl") else None)
    elif part == VAE:
        yield vae_encoder(network)
        yield vae_decoder(network)
    else:
        yield text_encoder(network, part)

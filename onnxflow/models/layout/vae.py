"""The autoencoder's shape and weights in the original layout."""

from __future__ import annotations

from dataclasses import dataclass

from onnxflow.errors import ModelError
from onnxflow.models.layout.place import Part, Place, whole

_RESNET = ("norm1", "conv1", "norm2", "conv2")
_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


@dataclass(frozen=True, slots=True)
class VaeShape:
    """Channels of the levels from the finest, residual layers of each level of the encoder, channels of the latents."""

    channels: tuple[int, ...]
    layers: int
    latent: int


def read_vae(part: Part) -> tuple[VaeShape, dict[str, Place]]:
    """The shape of an autoencoder and the places of its weights by Diffusers' names; ModelError for a missing one."""
    count = part.count("encoder.down.{}.block.0.conv1.weight")
    if not count:
        part.shape("encoder.down.0.block.0.conv1.weight", 4)  # says what is missing
    layers = {part.count(f"encoder.down.{level}.block.{{}}.conv1.weight") for level in range(count)}
    if len(layers) != 1:
        raise ModelError(
            f"the levels of the autoencoder below {part.prefix} differ in their number of layers",
            where=part.where,
            hint="the file is damaged, or of another kind of model",
        )
    shape = VaeShape(
        channels=tuple(part.shape(f"encoder.down.{level}.block.0.conv2.weight", 4)[0] for level in range(count)),
        layers=layers.pop(),
        latent=part.shape("post_quant_conv.weight", 4)[0],
    )
    return shape, _places(part, shape)


def _places(part: Part, shape: VaeShape) -> dict[str, Place]:
    pairs = {name: name for name in ("quant_conv", "post_quant_conv")}
    last = len(shape.channels) - 1
    for side, levels, step, resampled in (
        ("encoder", "down", shape.layers, "downsample"),
        ("decoder", "up", shape.layers + 1, "upsample"),
    ):
        pairs |= {f"{side}.conv_in": f"{side}.conv_in", f"{side}.conv_out": f"{side}.conv_out"}
        pairs[f"{side}.conv_norm_out"] = f"{side}.norm_out"
        for level in range(last + 1):
            original = level if side == "encoder" else last - level  # the original counts up from the finest, too
            for layer in range(step):
                module = f"{side}.{levels}_blocks.{level}.resnets.{layer}"
                pairs |= _resnet(part, module, f"{side}.{levels}.{original}.block.{layer}")
            if level < last:
                module = f"{side}.{levels}_blocks.{level}.{resampled}rs.0.conv"
                pairs[module] = f"{side}.{levels}.{original}.{resampled}.conv"
        for number in (0, 1):
            pairs |= _resnet(part, f"{side}.mid_block.resnets.{number}", f"{side}.mid.block_{number + 1}")
        for name, there in _ATTENTION.items():
            pairs[f"{side}.mid_block.attentions.0.{name}"] = f"{side}.mid.attn_1.{there}"
    matrices = frozenset(
        f"{side}.mid_block.attentions.0.{name}"
        for side in ("encoder", "decoder")
        for name in _ATTENTION
        if name != "group_norm"
    )
    return whole(part, pairs, matrices)


def _resnet(part: Part, module: str, original: str) -> dict[str, str]:
    pairs = {f"{module}.{name}": f"{original}.{name}" for name in _RESNET}
    if f"{original}.nin_shortcut.weight" in part:
        pairs[f"{module}.conv_shortcut"] = f"{original}.nin_shortcut"
    return pairs

"""The denoiser's shape and weights in the original layout (latent-diffusion's, generative-models')."""

from __future__ import annotations

from dataclasses import dataclass

from onnxflow.errors import ModelError
from onnxflow.models.layout.place import Part, Place, whole

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
}
_BLOCK = (
    "attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0",
    "attn2.to_q", "attn2.to_k", "attn2.to_v", "attn2.to_out.0",
    "ff.net.0.proj", "ff.net.2", "norm1", "norm2", "norm3",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class UnetShape:
    """What the tensors say of a denoiser.

    ``channels`` and ``depths`` are of its levels, from the finest: a depth is the number of transformer blocks in each
    attention, 0 where a level has none. ``linear`` says whether an attention's projections are matrices instead of 1x1
    convolutions, ``label`` how many numbers it is told about the picture as a whole (SDXL), ``guidance`` how many about
    the strength of guidance (LCM); None where it is told none.
    """

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    layers: int
    depths: tuple[int, ...]
    middle_depth: int
    context: int
    linear: bool
    label: int | None
    guidance: int | None


def read_unet(part: Part) -> tuple[UnetShape, dict[str, Place]]:
    """The shape of a denoiser and the places of its weights by Diffusers' names; ModelError when they make no sense."""
    levels = _levels(part)
    layers = len(levels[0])
    if any(len(level) != layers for level in levels):
        raise _odd(part, f"its levels have {[len(level) for level in levels]} layers")
    if any(len({depth for _, depth in level}) > 1 for level in levels):
        raise _odd(part, "the layers of a level have attentions of different depths")
    depths = tuple(level[0][1] for level in levels)
    middle = part.count("middle_block.1.transformer_blocks.{}.norm1.weight")
    context = _context(part, levels, middle)
    shape = UnetShape(
        in_channels=part.shape("input_blocks.0.0.weight", 4)[1],
        out_channels=part.shape("out.2.weight", 4)[0],
        channels=tuple(level[0][0] for level in levels),
        layers=layers,
        depths=depths,
        middle_depth=middle,
        context=context,
        linear=len(part.shapes.get("middle_block.1.proj_in.weight", ())) == 2,
        label=part.shape("label_emb.0.0.weight", 2)[1] if "label_emb.0.0.weight" in part else None,
        guidance=part.shape("time_embed.cond_proj.weight", 2)[1] if "time_embed.cond_proj.weight" in part else None,
    )
    return shape, _places(part, shape)


def _levels(part: Part) -> list[list[tuple[int, int]]]:
    """For every level the channels and the depth of each of its layers."""
    levels: list[list[tuple[int, int]]] = [[]]
    number = 1
    while True:
        block = f"input_blocks.{number}"
        if f"{block}.0.op.weight" in part:
            levels.append([])
        elif f"{block}.0.out_layers.3.weight" in part:
            channels = part.shape(f"{block}.0.out_layers.3.weight", 4)[0]
            levels[-1].append((channels, part.count(block + ".1.transformer_blocks.{}.norm1.weight")))
        else:
            break
        number += 1
    if not all(levels):
        raise _odd(part, "it has a level without layers")
    return levels


def _context(part: Part, levels: list[list[tuple[int, int]]], middle: int) -> int:
    """How wide the text is that the attentions look at."""
    if middle:
        return part.shape("middle_block.1.transformer_blocks.0.attn2.to_k.weight", 2)[1]
    number = 1
    for level in levels:
        for _, depth in level:
            if depth:
                return part.shape(f"input_blocks.{number}.1.transformer_blocks.0.attn2.to_k.weight", 2)[1]
            number += 1
        number += 1
    raise _odd(part, "it has no attention to a text")


def _places(part: Part, shape: UnetShape) -> dict[str, Place]:
    pairs = {
        "conv_in": "input_blocks.0.0",
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_norm_out": "out.0",
        "conv_out": "out.2",
    }
    if shape.label is not None:
        pairs |= {"add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2"}
    if shape.guidance is not None:
        pairs["time_embedding.cond_proj"] = "time_embed.cond_proj"
    last, step = len(shape.channels) - 1, shape.layers + 1
    for level, depth in enumerate(shape.depths):
        for layer in range(shape.layers):
            block = f"input_blocks.{1 + level * step + layer}"
            pairs |= _resnet(part, f"down_blocks.{level}.resnets.{layer}", f"{block}.0")
            pairs |= _attention(f"down_blocks.{level}.attentions.{layer}", f"{block}.1", depth)
        if level < last:
            pairs[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{(level + 1) * step}.0.op"
    pairs |= _resnet(part, "mid_block.resnets.0", "middle_block.0")
    pairs |= _attention("mid_block.attentions.0", "middle_block.1", shape.middle_depth)
    pairs |= _resnet(part, "mid_block.resnets.1", "middle_block.2" if shape.middle_depth else "middle_block.1")
    for level, depth in enumerate(reversed(shape.depths)):
        for layer in range(step):
            block = f"output_blocks.{level * step + layer}"
            pairs |= _resnet(part, f"up_blocks.{level}.resnets.{layer}", f"{block}.0")
            pairs |= _attention(f"up_blocks.{level}.attentions.{layer}", f"{block}.1", depth)
        if level < last:
            upsampled = f"output_blocks.{level * step + step - 1}.{2 if depth else 1}.conv"
            pairs[f"up_blocks.{level}.upsamplers.0.conv"] = upsampled
    return whole(part, pairs)


def _resnet(part: Part, module: str, original: str) -> dict[str, str]:
    pairs = {f"{module}.{name}": f"{original}.{there}" for name, there in _RESNET.items()}
    if f"{original}.skip_connection.weight" in part:
        pairs[f"{module}.conv_shortcut"] = f"{original}.skip_connection"
    return pairs


def _attention(module: str, original: str, depth: int) -> dict[str, str]:
    """The transformer's own names are the same in both layouts."""
    names = [f"transformer_blocks.{index}.{name}" for index in range(depth) for name in _BLOCK]
    names += ["norm", "proj_in", "proj_out"] if depth else []
    return {f"{module}.{name}": f"{original}.{name}" for name in names}


def _odd(part: Part, reason: str) -> ModelError:
    return ModelError(
        f"the denoiser below {part.prefix} has a shape that is not known: {reason}",
        where=part.where,
        hint="the file is damaged, or of another kind of model",
    )

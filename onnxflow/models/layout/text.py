"""The text encoders' shapes and weights in the two layouts that checkpoints have: transformers' CLIP (Stable Diffusion
1.x, the first one of SDXL) and OpenCLIP (2.x, the second one of SDXL)."""

from __future__ import annotations

from dataclasses import dataclass

from onnxflow.models.layout.place import Part, Place, whole

_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_OWN_LAYER = (
    "layer_norm1", "layer_norm2", "mlp.fc1", "mlp.fc2",
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.out_proj",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TextShape:
    """What the tensors say of a text encoder; ``projection`` is the width of its projected output, None without one."""

    vocabulary: int
    length: int
    hidden: int
    inner: int
    layers: int
    projection: int | None


def read_clip(part: Part) -> tuple[TextShape, dict[str, Place]]:
    """A text encoder in transformers' layout, and the places of its weights by transformers' names without
    ``text_model.``; ModelError for a missing one."""
    layers = part.count("encoder.layers.{}.layer_norm1.weight")
    vocabulary, hidden = part.shape("embeddings.token_embedding.weight", 2)
    shape = TextShape(
        vocabulary=vocabulary,
        length=part.shape("embeddings.position_embedding.weight", 2)[0],
        hidden=hidden,
        inner=part.shape("encoder.layers.0.mlp.fc1.weight", 2)[0],
        layers=layers,
        projection=None,
    )
    names = [f"encoder.layers.{layer}.{name}" for layer in range(layers) for name in _OWN_LAYER]
    names += ["embeddings.token_embedding", "embeddings.position_embedding", "final_layer_norm"]
    return shape, whole(part, {name: name for name in names})


def read_open_clip(part: Part, skipped: int = 0) -> tuple[TextShape, dict[str, Place]]:
    """A text encoder in OpenCLIP's layout without its last ``skipped`` layers, and the places of its weights by
    transformers' names; ModelError for a missing one.

    OpenCLIP keeps query, key and value in one matrix, and the projection transposed. With ``skipped`` layers there is
    no projection: it belongs to the last one.
    """
    layers = part.count("transformer.resblocks.{}.ln_1.weight") - skipped
    vocabulary, hidden = part.shape("token_embedding.weight", 2)
    positions = part.shape("positional_embedding", 2)
    projected = "text_projection" in part and not skipped
    shape = TextShape(
        vocabulary=vocabulary,
        length=positions[0],
        hidden=hidden,
        inner=part.shape("transformer.resblocks.0.mlp.c_fc.weight", 2)[0],
        layers=layers,
        projection=part.shape("text_projection", 2)[1] if projected else None,
    )
    pairs = {"embeddings.token_embedding": "token_embedding", "final_layer_norm": "ln_final"}
    for layer in range(layers):
        pairs |= {
            f"encoder.layers.{layer}.{name}": f"transformer.resblocks.{layer}.{there}" for name, there in _LAYER.items()
        }
    places = whole(part, pairs)
    places["embeddings.position_embedding.weight"] = Place(f"{part.prefix}positional_embedding", positions)
    for layer in range(layers):
        places |= _attention(part, layer, hidden)
    if projected:
        width, out = part.shape("text_projection", 2)
        places["text_projection.weight"] = Place(f"{part.prefix}text_projection", (out, width), transposed=True)
    return shape, places


def _attention(part: Part, layer: int, hidden: int) -> dict[str, Place]:
    original, module = f"transformer.resblocks.{layer}.attn", f"encoder.layers.{layer}.self_attn"
    part.shape(f"{original}.in_proj_weight", 2)
    part.shape(f"{original}.in_proj_bias", 1)
    places = {}
    for index, name in enumerate(("q_proj", "k_proj", "v_proj")):
        rows = (index * hidden, (index + 1) * hidden)
        weight, bias = f"{part.prefix}{original}.in_proj_weight", f"{part.prefix}{original}.in_proj_bias"
        places[f"{module}.{name}.weight"] = Place(weight, (hidden, hidden), rows)
        places[f"{module}.{name}.bias"] = Place(bias, (hidden,), rows)
    return places

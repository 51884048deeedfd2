"""The original layout at the size of Stable Diffusion 1.5, by the shapes alone; every family with weights is in
tests/export/test_single_file.py."""

import json
from pathlib import Path

import pytest

from onnxflow.errors import ModelError
from onnxflow.models.layout.layout import read_layout
from onnxflow.models.layout.place import Place, Shape, part_of, whole
from onnxflow.models.layout.text import TextShape, read_open_clip
from onnxflow.models.layout.unet import UnetShape
from onnxflow.models.layout.vae import VaeShape

GOLDENS = Path(__file__).parents[2] / "goldens"
UNET = "model.diffusion_model."


@pytest.fixture
def shapes() -> dict[str, Shape]:
    found = json.loads((GOLDENS / "sd15_shapes.json").read_text(encoding="utf-8"))
    return {name: tuple(shape) for name, shape in found.items()}


def test_every_tensor_of_stable_diffusion_1_5_has_its_place(shapes: dict[str, Shape]) -> None:
    found = read_layout(shapes, "sd15")
    assert found.family == "sd1"
    assert found.unet == UnetShape(4, 4, (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 1, 768, False, None, None)
    assert found.vae == VaeShape((128, 256, 512, 512), 2, 4)
    (text,) = found.text
    assert text.shape == TextShape(49408, 77, 768, 3072, 12, None)
    places = [*found.unet_places.values(), *found.vae_places.values(), *text.places.values()]
    assert sorted(place.key for place in places) == sorted(shapes)
    for place in places:
        shape = shapes[place.key]
        assert place.shape == shape or (place.shape == shape[:2] and shape[2:] == (1, 1))
    assert len(found.unet_places) == 686
    assert found.unet_places["down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_k.weight"] == Place(
        f"{UNET}input_blocks.8.1.transformer_blocks.0.attn2.to_k.weight", (1280, 768)
    )
    assert found.unet_places["up_blocks.2.upsamplers.0.conv.bias"].key == f"{UNET}output_blocks.8.2.conv.bias"


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (f"{UNET}out.2.weight", "no tensor model.diffusion_model.out.2.weight"),
        (f"{UNET}output_blocks.5.2.conv.weight", "no tensor model.diffusion_model.output_blocks.5.2.conv.weight"),
        (f"{UNET}input_blocks.2.0.out_layers.3.weight", "no tensor model.diffusion_model.output_blocks"),
        ("first_stage_model.decoder.mid.attn_1.q.weight", "no tensor first_stage_model.decoder.mid.attn_1.q.weight"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.weight", "final_layer_norm.weight"),
    ],
)
def test_a_lost_tensor_is_named(shapes: dict[str, Shape], lost: str, message: str) -> None:
    del shapes[lost]
    with pytest.raises(ModelError, match=message):
        read_layout(shapes, "sd15")


def test_a_tensor_of_too_few_axes_is_named(shapes: dict[str, Shape]) -> None:
    shapes[f"{UNET}input_blocks.0.0.weight"] = (320,)
    with pytest.raises(ModelError, match=r"input_blocks.0.0.weight has the shape \[320\], expected 4 axes"):
        read_layout(shapes, "sd15")


def test_a_matrix_of_three_is_cut_by_rows_and_a_projection_turned() -> None:
    made: dict[str, Shape] = {
        "token_embedding.weight": (10, 4), "positional_embedding": (7, 4), "ln_final.weight": (4,),
        "text_projection": (4, 6),
    }  # fmt: skip
    for layer in (0, 1):
        block = f"transformer.resblocks.{layer}"
        made |= {f"{block}.attn.in_proj_weight": (12, 4), f"{block}.attn.in_proj_bias": (12,)}
        made |= {f"{block}.{name}.weight": (4, 4) for name in ("attn.out_proj", "mlp.c_fc", "mlp.c_proj")}
        made |= {f"{block}.{name}.weight": (4,) for name in ("ln_1", "ln_2")}
    shape, places = read_open_clip(part_of("file", made, ""))
    assert (shape.layers, shape.projection) == (2, 6)
    assert places["text_projection.weight"] == Place("text_projection", (6, 4), transposed=True)
    key = "transformer.resblocks.1.attn.in_proj_weight"
    assert places["encoder.layers.1.self_attn.k_proj.weight"] == Place(key, (4, 4), (4, 8))
    shape, places = read_open_clip(part_of("file", made, ""), skipped=1)
    assert (shape.layers, shape.projection) == (1, None)
    assert not any("text_projection" in name or "layers.1." in name for name in places)


def test_a_convolution_may_stand_for_a_matrix() -> None:
    part = part_of("file", {"a.q.weight": (4, 4, 1, 1), "a.q.bias": (4,), "a.c.weight": (4, 4, 3, 3)}, "a.")
    places = whole(part, {"to_q": "q", "conv": "c"}, frozenset({"to_q", "conv"}))
    assert places["to_q.weight"] == Place("a.q.weight", (4, 4))
    assert places["to_q.bias"] == Place("a.q.bias", (4,))
    assert places["conv.weight"] == Place("a.c.weight", (4, 4, 3, 3))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["lora_unet_x.lora_down.weight"], "a LoRA, which belongs into loras/"),
        (["encoder.conv_in.weight"], "VAELoader reads in vae/"),
        (["control_model.input_blocks.0.0.weight"], "a ControlNet"),
        (["text_model.embeddings.token_embedding.weight"], "CLIPLoader reads"),
        (["emb_params"], "an embedding"),
        ([f"{UNET}input_blocks.0.0.weight"], "no text encoder"),
        ([f"{UNET}input_blocks.0.0.weight", "cond_stage_model.transformer.text_model.x"], "no autoencoder (VAE)"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(names: list[str], words: str) -> None:
    with pytest.raises(ModelError) as caught:
        read_layout(dict.fromkeys(names, (1, 1)), "x")
    assert words in caught.value.message and caught.value.hint

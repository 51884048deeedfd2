# ruff: noqa: E402
import copy
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from diffusers import UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file

from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.evaluate import Networks
from onnxflow.export.tiny_model.lora import FILE, LowRank, add_lora, kohya_weights, merge, train_lora

RANK = 3
QUERY = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q"
OUT = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0"
CONV = "lora_unet_up_blocks_2_resnets_1_conv2"


def velocity(network: UNet2DConditionModel) -> "torch.Tensor":
    generator = torch.Generator().manual_seed(5)
    x, states = torch.randn((2, 4, 8, 8), generator=generator), torch.randn((2, 77, 16), generator=generator)
    return network(x, torch.tensor([10, 700]), encoder_hidden_states=states).sample


@pytest.fixture
def unet(untrained: tuple[Recipe, Networks]) -> UNet2DConditionModel:
    return copy.deepcopy(untrained[1].unet)


@pytest.fixture
def changed(unet: UNet2DConditionModel) -> tuple[UNet2DConditionModel, dict[str, LowRank]]:
    """A copy of the unet whose adaptation does something, and its layers."""
    adapted = copy.deepcopy(unet)
    layers = add_lora(adapted, RANK)
    generator = torch.Generator().manual_seed(6)
    for layer in layers.values():
        layer.up.weight.data = 0.2 * torch.randn(layer.up.weight.shape, generator=generator)
    return adapted, layers


@torch.no_grad()
def test_an_untrained_one_changes_nothing(unet: UNet2DConditionModel) -> None:
    before = velocity(unet)
    add_lora(unet, RANK)
    assert torch.equal(velocity(unet), before)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(torch.nn.Linear(6, 5), (4, 6)), (torch.nn.Conv2d(6, 5, 3, stride=2, padding=1), (4, 6, 9, 8))],
)
@torch.no_grad()
def test_a_changed_layer_is_the_layer_with_the_product_of_the_two_added(
    layer: "torch.nn.Module", shape: tuple[int, ...]
) -> None:
    lora = LowRank(layer, 2)
    lora.up.weight.data.normal_()
    product = (lora.up.weight.flatten(1) @ lora.down.weight.flatten(1)).reshape(layer.weight.shape)
    assert torch.linalg.matrix_rank(product.flatten(1)) == 2
    x = torch.randn(shape)
    given = lora(x)
    layer.weight += product
    torch.testing.assert_close(given, layer(x), atol=1e-5, rtol=1e-5)


def test_only_what_was_added_gets_gradients(unet: UNet2DConditionModel) -> None:
    layers = add_lora(unet, RANK)
    velocity(unet).square().mean().backward()
    given = {name for name, weight in unet.named_parameters() if weight.grad is not None}
    assert given == {f"{name}.{part}.weight" for name in layers for part in ("down", "up")}
    assert all(layer.up.weight.grad.abs().sum() > 0 for layer in layers.values())


def test_attention_and_residual_convolutions_are_adapted_and_nothing_else(unet: UNet2DConditionModel) -> None:
    names = list(add_lora(unet, RANK))
    # one or two blocks on every level with attention, eight layers each; two convolutions in every residual block
    assert sum("attentions" in name for name in names) == 8 * (1 + 1 + 1 + 2 + 2)
    assert sum("resnets" in name for name in names) == 2 * (3 + 2 + 6)
    assert {name.rsplit("resnets.", 1)[1][2:] for name in names if "resnets" in name} == {"conv1", "conv2"}
    assert {name.split("transformer_blocks.0.")[1] for name in names if "attentions" in name} == {
        f"{attention}.{part}" for attention in ("attn1", "attn2") for part in ("to_q", "to_k", "to_v", "to_out.0")
    }


def test_names_and_shapes_are_kohyas(changed: tuple[UNet2DConditionModel, dict[str, LowRank]]) -> None:
    weights = kohya_weights(changed[1])
    assert len(weights) == 3 * len(changed[1])
    assert {name.split(".", 1)[1] for name in weights} == {"lora_down.weight", "lora_up.weight", "alpha"}
    assert all(value.dtype == torch.float16 for value in weights.values())
    for layer, down, up in (
        (QUERY, (3, 8), (8, 3)),
        (OUT, (3, 16), (16, 3)),
        (CONV, (3, 8, 3, 3), (8, 3, 1, 1)),
    ):
        assert tuple(weights[f"{layer}.lora_down.weight"].shape) == down
        assert tuple(weights[f"{layer}.lora_up.weight"].shape) == up
        assert weights[f"{layer}.alpha"].item() == RANK
        assert weights[f"{layer}.alpha"].shape == ()


@torch.no_grad()
def test_a_merged_network_is_the_adapted_one(
    unet: UNet2DConditionModel, changed: tuple[UNet2DConditionModel, dict[str, LowRank]]
) -> None:
    before = velocity(unet)
    adapted = velocity(changed[0])
    assert (adapted - before).abs().max() > 0.1
    merged = merge(unet, kohya_weights(changed[1]))
    assert (velocity(merged) - adapted).abs().max() < 1e-3 * adapted.abs().max()
    assert torch.equal(velocity(unet), before)


@torch.no_grad()
def test_strength_scales_the_change_of_the_weights(
    unet: UNet2DConditionModel, changed: tuple[UNet2DConditionModel, dict[str, LowRank]]
) -> None:
    weights = kohya_weights(changed[1])
    once, twice = merge(unet, weights).state_dict(), merge(unet, weights, 2.0).state_dict()
    for name, value in unet.state_dict().items():
        torch.testing.assert_close(twice[name] - value, 2 * (once[name] - value), atol=1e-5, rtol=1e-4)
        assert torch.equal(once[name], value) == (name.removesuffix(".weight") not in changed[1])
    assert torch.equal(velocity(merge(unet, weights, 0.0)), velocity(unet))


@torch.no_grad()
def test_alpha_is_divided_by_the_rank(
    unet: UNet2DConditionModel, changed: tuple[UNet2DConditionModel, dict[str, LowRank]]
) -> None:
    weights = kohya_weights(changed[1])
    halved = {name: value / 2 if name.endswith(".alpha") else value for name, value in weights.items()}
    assert torch.equal(velocity(merge(unet, halved)), velocity(merge(unet, weights, 0.5)))


def test_training_in_miniature_goes_on_where_it_stopped_and_leaves_the_denoiser(
    untrained: tuple[Recipe, Networks], unet: UNet2DConditionModel, tmp_path: Path
) -> None:
    recipe, networks = untrained
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    given = (recipe, networks.autoencoder, networks.encoder, networks.tokenizer, unet)
    files, lines = {}, []
    for folder, stops in (("whole", [None]), ("halves", [1, None])):
        (tmp_path / folder).mkdir()
        for stop in stops:
            files[folder, stop] = train_lora(*given, tmp_path / folder, lines.append, stop_at=stop).read_bytes()
    assert "lora: goes on at step 1/2" in lines
    assert files["whole", None] == files["halves", None] != files["halves", 1]
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())
    path = tmp_path / "whole" / FILE
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"ss_network_dim": "2"}
    weights = load_file(path)
    assert len(weights) == 3 * len(add_lora(copy.deepcopy(unet), 2))
    assert all(value.abs().max() > 0 for name, value in weights.items() if "lora_up" in name)
    with torch.no_grad():
        assert not torch.equal(velocity(merge(unet, weights)), velocity(unet))

# ruff: noqa: E402
import copy
import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors import safe_open
from safetensors.torch import load_file

from onnxflow.export.components import residual_shapes
from onnxflow.export.tiny_model.config import Recipe
from onnxflow.export.tiny_model.controlnet import build_controlnet, controlled, hint, train_controlnet
from onnxflow.export.tiny_model.evaluate import Networks
from onnxflow.export.tiny_model.folder import save_controlnet

T = torch.tensor([10, 700])


def normal(*shape: int) -> "torch.Tensor":
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


X, STATES, LINES = normal(2, 4, 8, 10), normal(2, 77, 16), (normal(2, 3, 64, 80) > 1).float()


@pytest.fixture
def unet(untrained: tuple[Recipe, Networks]) -> UNet2DConditionModel:
    return copy.deepcopy(untrained[1].unet)


@pytest.fixture
def network(untrained: tuple[Recipe, Networks], unet: UNet2DConditionModel) -> ControlNetModel:
    return build_controlnet(untrained[0], unet).eval()


def opened(network: ControlNetModel) -> ControlNetModel:
    """With outputs that are no longer zero."""
    for name, weight in network.named_parameters():
        if name.startswith(("controlnet_down_blocks", "controlnet_mid_block", "controlnet_cond_embedding.conv_out")):
            weight.data = 0.3 * torch.ones_like(weight)
    return network


@torch.no_grad()
def test_an_untrained_one_leaves_the_velocity_as_it_was(unet: UNet2DConditionModel, network: ControlNetModel) -> None:
    assert torch.equal(controlled(unet, network, X, T, STATES, LINES), unet(X, T, encoder_hidden_states=STATES).sample)


@torch.no_grad()
def test_it_listens_to_the_lines_and_not_to_the_caption(unet: UNet2DConditionModel, network: ControlNetModel) -> None:
    opened(network)
    given = network(X, T, STATES, LINES).mid_block_res_sample
    assert torch.equal(network(X, T, STATES + 1, LINES).mid_block_res_sample, given)
    assert not torch.allclose(network(X, T, STATES, 1 - LINES).mid_block_res_sample, given)
    plain = unet(X, T, encoder_hidden_states=STATES).sample
    led = controlled(unet, network, X, T, STATES, LINES)
    assert (led - plain).abs().max() > 0.1
    assert not torch.allclose(controlled(unet, network, X, T, STATES, 1 - LINES), led)
    assert not torch.allclose(controlled(unet, network, X, T, STATES + 1, LINES), led)  # the denoiser listens to it


@torch.no_grad()
def test_strength_scales_what_it_adds(unet: UNet2DConditionModel, network: ControlNetModel) -> None:
    opened(network)
    plain = unet(X, T, encoder_hidden_states=STATES).sample
    assert torch.equal(controlled(unet, network, X, T, STATES, LINES, 0.0), plain)
    half = controlled(unet, network, X, T, STATES, LINES, 0.5)
    for weight in (*network.controlnet_down_blocks.parameters(), *network.controlnet_mid_block.parameters()):
        weight /= 2
    torch.testing.assert_close(controlled(unet, network, X, T, STATES, LINES), half)


@torch.no_grad()
def test_its_residuals_fit_the_exported_denoiser(unet: UNet2DConditionModel, network: ControlNetModel) -> None:
    down, middle = network(X, T, STATES, LINES, return_dict=False)
    shapes = [tuple(residual.shape) for residual in (*down, middle)]
    assert shapes == list(residual_shapes(unet, 2, 8, 10).values())
    assert shapes[0] == (2, 8, 8, 10)
    assert shapes[-1] == (2, 16, 2, 3)


def test_weights_that_fit_come_from_the_denoiser(unet: UNet2DConditionModel, network: ControlNetModel) -> None:
    own, others = network.state_dict(), unet.state_dict()
    for name, value in own.items():
        if name.startswith(("controlnet_down_blocks.", "controlnet_mid_block.", "controlnet_cond_embedding.conv_out")):
            assert not value.any(), name
        elif not name.startswith("controlnet_cond_embedding."):
            assert torch.equal(value, others[name]), name
    assert {name.split(".")[0] for name in own if name in others} == {
        "conv_in",
        "time_embedding",
        "down_blocks",
        "mid_block",
    }
    assert not any("attentions" in name for name in own)


def test_a_hint_is_white_lines_on_black_in_three_channels() -> None:
    lines = np.zeros((2, 3, 4), np.bool_)
    lines[1, 2, 0] = True
    given = hint(lines)
    assert (given.shape, given.dtype, given.sum().item()) == ((2, 3, 3, 4), torch.float32, 3)
    assert given[1, :, 2, 0].tolist() == [1, 1, 1]


def test_training_in_miniature_goes_on_where_it_stopped_and_leaves_the_denoiser(
    untrained: tuple[Recipe, Networks], unet: UNet2DConditionModel, tmp_path: Path
) -> None:
    recipe, networks = untrained
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    given = (recipe, networks.autoencoder, networks.encoder, networks.tokenizer, unet)
    trained, lines = {}, []
    for folder, stops in (("whole", [None]), ("halves", [1, None])):
        (tmp_path / folder).mkdir()
        for stop in stops:
            network = train_controlnet(*given, tmp_path / folder, lines.append, stop_at=stop)
            trained[folder, stop] = network.state_dict()
    assert "controlnet: goes on at step 1/2" in lines
    whole, halves = trained["whole", None], trained["halves", None]
    assert all(torch.equal(value, halves[name]) for name, value in whole.items())
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())
    start = build_controlnet(recipe, unet).state_dict()
    opened = [name for name in start if name.startswith(("controlnet_down_blocks.", "controlnet_mid_block."))]
    assert len(opened) == 14
    assert all(whole[name].any() for name in opened)
    assert not torch.equal(whole["conv_in.weight"], start["conv_in.weight"])


def test_the_file_is_of_half_precision_and_says_what_it_holds(network: ControlNetModel, tmp_path: Path) -> None:
    opened(network)
    path = tmp_path / "edges.safetensors"
    save_controlnet(path, network)
    assert [file.name for file in tmp_path.iterdir()] == ["edges.safetensors"]
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    assert set(metadata) == {"config"}  # several entries would be written in any order
    config = json.loads(metadata["config"])
    assert config["down_block_types"] == ["DownBlock2D"] * 3
    assert config["conditioning_embedding_out_channels"] == [4, 4, 8, 8]
    assert not [name for name in config if name.startswith("_")]  # diffusers' own notes, in no certain order
    weights = load_file(path)
    assert {value.dtype for value in weights.values()} == {torch.float16}
    assert "controlnet_cond_embedding.blocks.5.weight" in weights
    assert "down_blocks.2.resnets.0.conv_shortcut.weight" in weights
    again = ControlNetModel.from_config(config).eval()
    again.load_state_dict(weights)
    for name, value in again.state_dict().items():
        assert torch.equal(value, network.state_dict()[name].half().float())
    with torch.no_grad():
        for given, wanted in zip(
            again(X, T, STATES, LINES, return_dict=False)[0],
            network(X, T, STATES, LINES, return_dict=False)[0],
            strict=True,
        ):
            assert (given - wanted).abs().max() < 5e-3 * wanted.abs().max()

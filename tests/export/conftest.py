"""Models of random weights, small enough to be exported in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from families import Case

TOKENS = 514


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Diffusers folder; tests copy it before they damage it."""
    torch = pytest.importorskip("torch")
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from onnxflow.export.tiny_model.folder import save_folder
    from onnxflow.export.tiny_model.tokenizer import train_tokenizer

    torch.manual_seed(7)
    tokenizer = train_tokenizer(["a cat"], TOKENS)
    encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=TOKENS,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=tokenizer.start,
            eos_token_id=tokenizer.end,
            pad_token_id=tokenizer.end,
        )
    )
    unet = UNet2DConditionModel(
        sample_size=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        attention_head_dim=2,
        cross_attention_dim=16,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        norm_num_groups=4,
        latent_channels=4,
    )
    for network in (encoder, unet, vae):  # norms and biases too: an export that mixed them up must not pass
        for parameter in network.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("models") / "random"
    save_folder(folder, vae, encoder, tokenizer, unet)
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"
    return folder


@pytest.fixture(scope="session")
def tiny_templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the templates of every tiny model of `families`."""
    pytest.importorskip("torch")
    from families import TINY

    from onnxflow.export.templates import write_templates

    folder = tmp_path_factory.mktemp("templates")
    assert len(list(write_templates(folder, TINY))) == 20
    return folder


@pytest.fixture(scope="session")
def sd1(tmp_path_factory: pytest.TempPathFactory, tiny_templates: Path) -> Case:
    """A tiny model of Stable Diffusion 1.x's family; tests copy it before they damage it."""
    from families import write_case

    return write_case("sd1", tmp_path_factory.mktemp("sd1"), tiny_templates)

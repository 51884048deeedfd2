"""A checkpoint in one file gives the very networks that the Diffusers folder gives, for every family."""

# ruff: noqa: E402
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from diffusers.models.attention_processor import Attention
from families import KINDS, write_file, write_folder
from safetensors.numpy import load_file, save_file

from onnxflow.errors import ModelError
from onnxflow.export.diffusers_folder import DiffusersFolder
from onnxflow.export.open_source import open_source
from onnxflow.export.single_file import SingleFile, unet_config
from onnxflow.export.source import parts
from onnxflow.models.layout.unet import UnetShape


@pytest.fixture(scope="module", params=KINDS)
def both(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, DiffusersFolder, SingleFile]:
    folder = tmp_path_factory.mktemp(request.param)
    write_folder(KINDS[request.param], folder / "model")
    write_file(folder / "model", folder / "model.safetensors")
    first, second = open_source(folder / "model"), open_source(folder / "model.safetensors")
    assert isinstance(first, DiffusersFolder)
    assert isinstance(second, SingleFile)
    return request.param, first, second


def test_they_give_the_same_weights_and_the_same_results(both: tuple[str, DiffusersFolder, SingleFile]) -> None:
    _, folder, file = both
    for part in parts(folder.facts):
        one, other = folder.network(part), file.network(part)
        wanted, given = one.state_dict(), other.state_dict()
        assert wanted.keys() == given.keys()
        assert all(torch.equal(wanted[name], given[name]) for name in wanted)
        torch.testing.assert_close(result(other, part), result(one, part), rtol=1e-5, atol=1e-6)


def result(network: torch.nn.Module, part: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        if part == "vae":
            return network.decode(torch.randn(1, 4, 4, 4, generator=generator)).sample
        if part != "unet":
            return network(input_ids=torch.arange(77)[None], output_hidden_states=True).hidden_states[-1]
        config = network.config
        told = {}
        if config.addition_embed_type:
            ids = (config.projection_class_embeddings_input_dim - 128) // 256
            told = {"added_cond_kwargs": {"text_embeds": torch.ones(1, 128), "time_ids": torch.full((1, ids), 64.0)}}
        return network(
            torch.randn(1, config.in_channels, 8, 8, generator=generator),
            torch.tensor([500.0]),
            encoder_hidden_states=torch.randn(1, 77, config.cross_attention_dim, generator=generator),
            **told,
        ).sample


def test_they_state_the_same_facts(both: tuple[str, DiffusersFolder, SingleFile]) -> None:
    name, folder, file = both
    first, second = folder.facts, file.facts
    stated = {field: getattr(first, field) for field in ("name", "license", "width", "height", "latent_scale")}
    if name == "sd2-v":  # random weights do not tell what they predict
        stated["sampling"] = first.sampling
    assert replace(second, **stated) == first
    assert first.family == KINDS[name].family
    assert first.sampling.prediction == {"epsilon": "eps", "v_prediction": "v"}[KINDS[name].prediction]
    assert first.in_channels == KINDS[name].in_channels
    assert [text.component for text in first.texts] == list(KINDS[name].encoders)


def test_the_original_names_are_those_that_diffusers_reads(both: tuple[str, DiffusersFolder, SingleFile]) -> None:
    name, folder, file = both
    if name == "lcm":
        pytest.skip("diffusers' converter does not know its one weight more")
    tensors = {key: torch.from_numpy(value) for key, value in load_file(file.path).items()}
    unet, vae = folder.network("unet"), folder.network("vae")
    for network, convert in ((unet, convert_ldm_unet_checkpoint), (vae, convert_ldm_vae_checkpoint)):
        config = {**network.config, "layers_per_block": network.config.layers_per_block}
        if network is unet and network.config.addition_embed_type is None:
            config["class_embed_type"] = None
        converted = convert(dict(tensors), config)
        wanted = network.state_dict()
        assert converted.keys() == wanted.keys()
        assert all(torch.equal(converted[key].reshape(wanted[key].shape), wanted[key]) for key in wanted)


def test_what_a_file_says_of_its_prediction_counts(tmp_path: Path) -> None:
    folder = write_folder(KINDS["sd2"], tmp_path / "model")
    write_file(folder, tmp_path / "plain.safetensors")
    tensors = load_file(tmp_path / "plain.safetensors")
    said = {"modelspec.prediction_type": "v", "modelspec.title": "Mine", "modelspec.license": "CC0"}
    save_file(tensors, tmp_path / "said.safetensors", metadata=said)
    facts = SingleFile(tmp_path / "said.safetensors").facts
    assert (facts.sampling.prediction, facts.name, facts.license) == ("v", "Mine", "CC0")
    save_file({**tensors, "v_pred": np.zeros(1), "ztsnr": np.zeros(1)}, tmp_path / "marked.safetensors")
    sampling = SingleFile(tmp_path / "marked.safetensors").facts.sampling
    assert (sampling.prediction, sampling.zero_snr) == ("v", True)
    wide = np.linspace(-1, 1, 64, dtype=np.float32)
    witness = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
    for spread, prediction in ((0.01, "eps"), (1.0, "v")):
        save_file({**tensors, witness: spread * wide}, tmp_path / "told.safetensors")
        assert SingleFile(tmp_path / "told.safetensors").facts.sampling.prediction == prediction


def lost(tensors: dict[str, np.ndarray]) -> None:
    del tensors["model.diffusion_model.middle_block.0.in_layers.0.weight"]


def lost_text(tensors: dict[str, np.ndarray]) -> None:
    for name in [name for name in tensors if name.startswith("cond_stage_model.")]:
        del tensors[name]


def lost_vae(tensors: dict[str, np.ndarray]) -> None:
    for name in [name for name in tensors if name.startswith("first_stage_model.")]:
        del tensors[name]


def other_shape(tensors: dict[str, np.ndarray]) -> None:
    tensors["model.diffusion_model.out.2.bias"] = np.zeros(5, np.float32)


def not_a_number(tensors: dict[str, np.ndarray]) -> None:
    tensors["first_stage_model.decoder.conv_in.bias"][2] = np.nan


def few_tokens(tensors: dict[str, np.ndarray]) -> None:
    name = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
    tensors[name] = tensors[name][:100]


def flux(tensors: dict[str, np.ndarray]) -> None:
    tensors.clear()
    tensors["double_blocks.0.img_attn.qkv.weight"] = np.zeros((3, 3), np.float32)


def nothing(tensors: dict[str, np.ndarray]) -> None:
    tensors.clear()
    tensors["weight"] = np.zeros((3, 3), np.float32)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lost, "no tensor model.diffusion_model.middle_block.0.in_layers.0.weight"),
        (lost_text, "no text encoder that is known"),
        (lost_vae, "holds no autoencoder"),
        (other_shape, "out.2.bias does not fit the network"),
        (not_a_number, "1 values of decoder.conv_in.bias are not numbers"),
        (few_tokens, "has 100 tokens, CLIP's tokenizer 49408"),
        (flux, "the file is Flux"),
        (nothing, "no checkpoint of Stable Diffusion that is known"),
    ],
)
def test_a_file_that_is_no_whole_model_is_refused(
    tmp_path: Path, damage: Callable[[dict[str, np.ndarray]], None], message: str
) -> None:
    path = write_file(write_folder(KINDS["sd1"], tmp_path / "model"), tmp_path / "model.safetensors")
    tensors = {name: value.copy() for name, value in load_file(path).items()}
    damage(tensors)
    save_file(tensors, path)
    with pytest.raises(ModelError, match=re.escape(message)):
        read_all(path)


def read_all(path: Path) -> None:
    source = open_source(path)
    for part in parts(source.facts):
        source.network(part)


def test_a_truncated_file_and_a_pickle_are_refused(tmp_path: Path) -> None:
    path = write_file(write_folder(KINDS["sd1"], tmp_path / "model"), tmp_path / "model.safetensors")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match=r"damaged|truncated|bytes"):
        _ = open_source(path).facts
    size = path.stat().st_size
    os.truncate(path, size * 3 // 4)
    os.truncate(path, size + 100)
    with pytest.raises(ModelError, match="ends in zeros: the download is incomplete"):
        _ = open_source(path).facts
    (tmp_path / "model.ckpt").write_bytes(b"pickle")
    with pytest.raises(ModelError, match=r"no \.safetensors"):
        open_source(tmp_path / "model.ckpt")
    with pytest.raises(ModelError, match="nothing here"):
        open_source(tmp_path / "missing.safetensors")


@pytest.mark.parametrize(
    ("family", "channels", "depths", "middle", "context", "label", "weights"),
    [
        ("sd1", (320, 640, 1280, 1280), (1, 1, 1, 0), 1, 768, None, 859_520_964),
        ("sd2", (320, 640, 1280, 1280), (1, 1, 1, 0), 1, 1024, None, 865_910_724),
        ("sdxl", (320, 640, 1280), (0, 2, 10), 10, 2048, 2816, 2_567_463_684),
    ],
)
def test_the_real_sizes_have_as_many_weights_as_the_published_models(
    family: str,
    channels: tuple[int, ...],
    depths: tuple[int, ...],
    middle: int,
    context: int,
    label: int | None,
    weights: int,
) -> None:
    shape = UnetShape(4, 4, channels, 2, depths, middle, context, family != "sd1", label, None)
    with init_empty_weights():
        network = UNet2DConditionModel(**unet_config(shape, family))
    assert sum(parameter.numel() for parameter in network.parameters()) == weights
    attentions = [module for module in network.modules() if isinstance(module, Attention)]
    assert {module.upcast_attention for module in attentions} == {family == "sd2"}

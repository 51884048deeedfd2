"""Optimum's and Diffusers' ONNX folders without a manifest: what is read of them, and what is refused, by name."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from foreign_folder import MERGES, VOCABULARY, change_json, write_foreign, write_graph, write_json
from graph_file import FLOAT
from hypothesis import given, settings
from hypothesis import strategies as st

from onnxflow.errors import ModelError, OnnxflowError
from onnxflow.models.bundle import is_bundle, open_bundle
from onnxflow.models.manifest import OPTIMUM, SamplingConstants, TokenizerFiles
from onnxflow.models.remove import remove_bundle
from onnxflow.models.store import ModelStore
from onnxflow.nodes.text import text_model

UNET, TEXT, SCHEDULER = "unet/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json"


def test_what_its_files_say(tmp_path: Path) -> None:
    bundle = open_bundle(write_foreign(tmp_path))
    found = bundle.manifest
    assert is_bundle(tmp_path) and found.foreign
    assert (found.name, found.family, found.width, found.height) == ("tiny", "sd1", 128, 128)
    assert (found.latent.channels, found.latent.scale) == (4, 0.13025)
    assert found.sampling == SamplingConstants("eps")
    assert found.variants == ("fp32",) and found.alternatives == ()
    assert set(found.components) == {"text_encoder", "unet", "vae_encoder", "vae_decoder"}
    assert all(bundle.interface(part) == OPTIMUM for part in found.components)
    assert np.isnan(found.components["unet"].variants["fp32"].error)
    assert found.components["unet"].inputs["sample"] == ("b", 4, "h", "w")  # the graph leaves the channels free
    text = bundle.text()
    assert (text.token_embedding, text.hidden, text.layers, text.skipped, text.length) == (None, 8, 2, 0, 77)
    assert (text.bos, text.eos, text.pad) == (len(VOCABULARY) - 2, len(VOCABULARY) - 1, len(VOCABULARY) - 1)
    assert text.tokenizer == TokenizerFiles("tokenizer/vocab.json", "tokenizer/merges.txt", True)
    assert bundle.graph("unet", "fp32").path == tmp_path / "unet" / "model.onnx"


def test_sdxl_in_half_precision(tmp_path: Path) -> None:
    found = open_bundle(write_foreign(tmp_path, xl=True, half=True)).manifest
    assert (found.family, found.variants, list(found.texts)) == ("sdxl", ("fp16",), ["text_encoder", "text_encoder_2"])
    assert found.components["unet"].inputs["text_embeds"] == ("b", 12)


def test_a_manifest_comes_first(tmp_path: Path) -> None:
    write_foreign(tmp_path)
    (tmp_path / "onnxflow.json").write_text("{")
    with pytest.raises(ModelError, match="the manifest is not JSON"):
        open_bundle(tmp_path)


def test_the_identity_follows_its_files(tmp_path: Path) -> None:
    found = {open_bundle(write_foreign(tmp_path)).identity}
    assert found == {open_bundle(tmp_path).identity}
    os.utime(tmp_path / "unet" / "model.onnx", ns=(0, 1))
    found.add(open_bundle(tmp_path).identity)
    (tmp_path / "unet" / "model.onnx_data").write_bytes(b"weights")
    found.add(open_bundle(tmp_path).identity)
    change_json(tmp_path / SCHEDULER, beta_end=0.013)
    found.add(open_bundle(tmp_path).identity)
    assert len(found) == 4


@pytest.mark.parametrize("pairs", [list(MERGES), [merge.split() for merge in MERGES]])
def test_a_tokenizer_in_one_file(tmp_path: Path, pairs: list[object]) -> None:
    wanted = text_model(open_bundle(write_foreign(tmp_path / "two"))).tokenizer
    place = write_foreign(tmp_path / "one") / "tokenizer"
    write_json(place / "tokenizer.json", {"model": {"vocab": VOCABULARY, "merges": pairs}})
    (place / "vocab.json").unlink()
    (place / "merges.txt").unlink()
    bundle = open_bundle(tmp_path / "one")
    assert bundle.text().tokenizer == TokenizerFiles("tokenizer/tokenizer.json", "tokenizer/tokenizer.json", True)
    model = text_model(bundle)
    assert model.table is None
    assert model.tokenizer.encode("Cat act") == wanted.encode("Cat act")


@pytest.mark.parametrize(("pad", "family", "layers"), [("<|endoftext|>", "sd1", 12), ("!", "sd2", 23)])
def test_diffusers_old_folders_have_no_configurations(tmp_path: Path, pad: str, family: str, layers: int) -> None:
    write_foreign(tmp_path, pad=pad)
    for path in tmp_path.glob("*/config.json"):
        path.unlink()
    change_json(tmp_path / "model_index.json", _class_name="OnnxStableDiffusionPipeline")
    bundle = open_bundle(tmp_path)
    assert (bundle.manifest.family, bundle.latent.scale, bundle.manifest.width) == (family, 0.18215, 512)
    assert (bundle.text().layers, bundle.text().hidden, bundle.text().vocab) == (layers, 8, len(VOCABULARY))


def test_without_a_vae_encoder_only_redrawing_fails(tmp_path: Path) -> None:
    shutil.rmtree(write_foreign(tmp_path) / "vae_encoder")
    bundle = open_bundle(tmp_path)
    with pytest.raises(ModelError, match="the model has no vae_encoder"):
        bundle.component("vae_encoder")


def test_a_vae_may_have_its_configuration_in_its_own_folder(tmp_path: Path) -> None:
    write_foreign(tmp_path)
    (tmp_path / "vae_decoder" / "config.json").rename(tmp_path / "vae.json")
    (tmp_path / "vae_encoder" / "config.json").unlink()
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae.json").rename(tmp_path / "vae" / "config.json")
    assert open_bundle(tmp_path).latent.scale == 0.13025


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unet/model.onnx", "the model has no unet/model.onnx"),
        ("vae_decoder/model.onnx", "the model has no vae_decoder/model.onnx"),
        ("text_encoder_2/model.onnx", "the model has no text_encoder_2/model.onnx"),
        ("unet/config.json", "cannot read config.json"),
        ("text_encoder_2/config.json", "cannot read config.json"),
        ("tokenizer_2/vocab.json", "cannot read vocab.json"),
        ("tokenizer/merges.txt", "cannot read merges.txt"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, name: str, words: str) -> None:
    write_foreign(tmp_path, xl=True)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError) as caught:
        open_bundle(tmp_path)
    assert words in caught.value.message and caught.value.hint
    assert name.split("/")[0] in caught.value.render()


def graph_of_something_else(folder: Path) -> None:
    write_graph(folder / "unet", {"x": (FLOAT, (1,))}, {})


def flat_latents(folder: Path) -> None:
    write_graph(folder / "unet", {"sample": (FLOAT, (1, 4))}, {})


def damaged_graph(folder: Path) -> None:
    path = folder / "vae_decoder" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-3])


def odd_merges(folder: Path) -> None:
    write_json(folder / "tokenizer" / "tokenizer.json", {"model": {"vocab": VOCABULARY, "merges": ["a b c"]}})
    (folder / "tokenizer" / "vocab.json").unlink()


def huge_vocabulary(folder: Path) -> None:
    with open(folder / "tokenizer" / "vocab.json", "r+b") as file:
        file.truncate(10**12)


def entry(name: str, **entries: object) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / name, **entries)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            entry("model_index.json", _class_name="StableDiffusion3Pipeline"),
            "the model is a 'StableDiffusion3Pipeline'",
        ),
        (entry("model_index.json", _class_name=None), "the model is a 'None'"),
        (lambda folder: (folder / "model_index.json").write_text("[]"), "model_index.json is not an object"),
        (lambda folder: (folder / UNET).write_text("{"), "config.json is not JSON"),
        (entry(UNET, cross_attention_dim=[8, 8]), "unet/config.json's cross_attention_dim is [8, 8], expected a whole"),
        (entry(UNET, cross_attention_dim=9), "the unet reads text of width 9, the text encoder writes 8"),
        (entry(UNET, in_channels=5), "the unet takes 5 channels"),
        (entry(UNET, sample_size="big"), "sample_size is big"),
        (entry(UNET, addition_embed_type="image"), "the unet is told 'image' besides the text"),
        (entry(TEXT, vocab_size=9000), "the tokenizer has 516 tokens, the text encoder 9000"),
        (entry(TEXT, num_hidden_layers=True), "text_encoder/config.json's num_hidden_layers is True"),
        (entry("vae_decoder/config.json", scaling_factor=0), "vae_decoder/config.json's scaling_factor is 0"),
        (entry("vae_decoder/config.json", block_out_channels=[4]), "does not reduce pictures eightfold"),
        (entry(SCHEDULER, prediction_type="sample"), "the model predicts 'sample'"),
        (entry(SCHEDULER, prediction_type=["epsilon"]), "the model predicts ['epsilon']"),
        (entry(SCHEDULER, beta_start=0.5), "beta_start is 0.5, expected at most beta_end"),
        (entry(SCHEDULER, num_train_timesteps=1.5), "scheduler_config.json's num_train_timesteps is 1.5"),
        (entry("tokenizer/tokenizer_config.json", pad_token="nothing"), "the tokenizer has no token 'nothing' (pad)"),
        (entry("tokenizer/tokenizer_config.json", pad_token=7), "the tokenizer has no token 7 (pad)"),
        (entry("tokenizer/vocab.json", a=-1), "tokens whose id is not a whole number"),
        (graph_of_something_else, "the unet's input sample is not there"),
        (flat_latents, "the unet's input sample is of 2 dimensions, expected one of 4 dimensions"),
        (damaged_graph, "vae_decoder/model.onnx is no ONNX graph"),
        (odd_merges, "tokenizer.json has merges that are not two tokens each"),
        (huge_vocabulary, "vocab.json has more than 67,108,864 bytes"),
        (lambda folder: (folder / "tokenizer" / "merges.txt").write_bytes(b"\xff"), "merges.txt: it is not UTF-8"),
    ],
)
def test_what_does_not_fit_is_one_clear_error(tmp_path: Path, damage: Callable[[Path], None], words: str) -> None:
    damage(write_foreign(tmp_path))
    with pytest.raises(ModelError) as caught:
        open_bundle(tmp_path)
    assert words in caught.value.message
    assert str(tmp_path) in caught.value.where


def test_the_store_lists_finds_and_removes_it(tmp_path: Path) -> None:
    mine = write_foreign(tmp_path / "checkpoints" / "sd" / "mine")
    store = ModelStore((tmp_path,))
    assert store.checkpoints()[-1] == "sd/mine"
    assert store.checkpoint("sd/mine.safetensors").root == mine
    assert store.checkpoint("sd/mine@fp32").preferred == "fp32"
    (entry,) = [entry for entry in store.entries() if entry.name == "sd/mine"]
    assert entry.manifest is not None and entry.manifest.foreign
    (mine / "unet" / "config.json").unlink()
    assert store.entry("sd/mine").problem == "cannot read config.json: No such file or directory"
    remove_bundle(mine)
    assert "sd/mine" not in store.checkpoints()


FILES = ("model_index.json", UNET, TEXT, SCHEDULER, "vae_decoder/config.json", "tokenizer/tokenizer_config.json")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([10**400, "a\0", "../x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_configuration_is_read_or_refused(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = write_foreign(Path(name))
        path = folder / data.draw(st.sampled_from(FILES))
        keys = [*json.loads(path.read_text("utf-8")), "addition_embed_type", "time_cond_proj_dim", "bos_token"]
        change_json(path, **{data.draw(st.sampled_from(keys)): data.draw(VALUES)})
        try:
            open_bundle(folder)
        except OnnxflowError as error:
            assert name in error.render() and len(error.render()) < 2000

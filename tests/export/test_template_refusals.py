"""What would compute wrongly from a template is refused by name; what only looks otherwise is not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from families import Case  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from onnxflow.errors import MemoryLimitError, ModelError, OutputError  # noqa: E402
from onnxflow.export import template_bundle, verify_templates  # noqa: E402
from onnxflow.export.template_bundle import export_with_templates  # noqa: E402
from onnxflow.models.bundle import open_bundle  # noqa: E402
from onnxflow.models.checkpoint import open_checkpoint  # noqa: E402
from onnxflow.models.diffusers_folder import open_diffusers  # noqa: E402
from onnxflow.models.layout.facts import sampling_of  # noqa: E402
from onnxflow.models.loose import denoiser, open_unet, open_vae  # noqa: E402
from onnxflow.models.weightless import weightless  # noqa: E402
from onnxflow.models.weights import weights_of  # noqa: E402
from onnxflow.nodes.text import text_model  # noqa: E402


@pytest.fixture
def folder(sd1: Case, tmp_path: Path) -> Path:
    """A copy of the Diffusers folder."""
    return Path(shutil.copytree(sd1.folder, tmp_path / "copy"))


def change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **entries}), "utf-8")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("unet", "attention_head_dim", 4),
        ("unet", "attention_head_dim", [4, 8]),
        ("unet", "num_attention_heads", 2),
        ("unet", "norm_eps", 1e-6),
        ("unet", "freq_shift", 1),
        ("unet", "flip_sin_to_cos", False),
        ("unet", "act_fn", "gelu"),
        ("unet", "norm_num_groups", 16),
        ("unet", "center_input_sample", True),
        ("unet", "mid_block_scale_factor", 2),
        ("unet", "encoder_hid_dim_type", "text_proj"),
        ("text_encoder", "num_attention_heads", 2),
        ("text_encoder", "hidden_act", "gelu_new"),
        ("text_encoder", "layer_norm_eps", 1e-6),
        ("vae", "norm_num_groups", 16),
        ("vae", "act_fn", "relu"),
        ("vae", "latents_mean", [0.1, 0.1, 0.1, 0.1]),
        ("vae", "shift_factor", 0.1),
        ("scheduler", "_class_name", "EDMDPMSolverMultistepScheduler"),
        ("scheduler", "_class_name", "FlowMatchEulerDiscreteScheduler"),
    ],
)
def test_a_setting_that_no_shape_shows_is_refused(sd1: Case, folder: Path, part: str, key: str, value: Any) -> None:
    open_diffusers(folder, sd1.templates)
    file = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    change(file, **{key: value})
    with pytest.raises(ModelError) as caught:
        open_diffusers(folder, sd1.templates)
    words = str(value) if part == "scheduler" else "attention_head_dim" if "head" in key and part == "unet" else key
    assert words in caught.value.message and caught.value.hint


def test_settings_that_change_nothing_are_fine(sd1: Case, folder: Path) -> None:
    change(folder / "unet" / "config.json", attention_head_dim=[8, 8], upcast_attention=True, norm_eps=None)
    change(folder / "vae" / "config.json", shift_factor=None, latents_mean=None, force_upcast=True)
    open_diffusers(folder, sd1.templates)


def test_the_folder_s_own_tokenizer_is_read(sd1: Case, folder: Path) -> None:
    words = json.loads((folder / "tokenizer" / "vocab.json").read_text("utf-8"))
    words["cat</w>"], words["dog</w>"] = words["dog</w>"], words["cat</w>"]
    (folder / "tokenizer" / "vocab.json").write_text(json.dumps(words), "utf-8")
    own, usual = (text_model(open_diffusers(one, sd1.templates)).tokenizer for one in (folder, sd1.folder))
    assert own.encode("cat") == usual.encode("dog") != usual.encode("cat")


@pytest.mark.parametrize(
    "name", ["diffusion_pytorch_model.bf16.safetensors", "diffusion_pytorch_model.fp32.safetensors"]
)
def test_files_of_a_variant_are_found(sd1: Case, folder: Path, name: str) -> None:
    (folder / "unet" / "diffusion_pytorch_model.safetensors").rename(folder / "unet" / name)
    assert open_diffusers(folder, sd1.templates).weights["unet"].files[0].path.name == name


@pytest.mark.parametrize("index", ["{}.safetensors.index.fp16.json", "{}.safetensors.fp16.index.json"])
def test_an_index_of_either_age_is_found(sd1: Case, folder: Path, index: str) -> None:
    model = "diffusion_pytorch_model"
    whole = folder / "unet" / f"{model}.safetensors"
    tensors = list(load_file(whole).items())
    shards = {f"{model}-{at}.safetensors": dict(tensors[at::2]) for at in (0, 1)}
    whole.unlink()
    for name, some in shards.items():
        save_file(some, folder / "unet" / name)
    places = {key: name for name, some in shards.items() for key in some}
    file = folder / "unet" / index.format(model)
    file.write_text(json.dumps({"weight_map": places}), "utf-8")
    assert len(open_diffusers(folder, sd1.templates).weights["unet"].files) == 2
    for wrong in ({}, {"a": "..\\x.safetensors"}, {"a": "../x.safetensors"}, {"a": 7}, [1]):
        file.write_text(json.dumps({"weight_map": wrong}), "utf-8")
        with pytest.raises(ModelError, match="names no files"):
            open_diffusers(folder, sd1.templates)


def test_a_folder_says_what_nothing_reads(sd1: Case, folder: Path) -> None:
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    assert open_diffusers(folder, sd1.templates).remarks == ()
    save_file({**load_file(path), "v_pred": torch.zeros(1)}, path)
    assert "marks that say" in " ".join(open_diffusers(folder, sd1.templates).remarks)


@pytest.mark.parametrize("mark", ["conv_in.scale_weight", "conv_in.weight_scale", "scaled_fp8", "conv_in.comfy_quant"])
def test_scales_beside_weights_are_refused(sd1: Case, tmp_path: Path, mark: str) -> None:
    save_file({**load_file(sd1.file), f"model.diffusion_model.{mark}": torch.ones(1)}, tmp_path / "x.safetensors")
    for load in (open_checkpoint, open_unet):
        with pytest.raises(ModelError, match="scales beside its weights") as caught:
            load(tmp_path / "x.safetensors", sd1.templates)
        assert mark in caught.value.message and caught.value.hint


def test_a_denoiser_of_diffusers_may_carry_marks(sd1: Case, tmp_path: Path) -> None:
    tensors = load_file(sd1.folder / "unet" / "diffusion_pytorch_model.safetensors")
    save_file({**tensors, "v_pred": torch.zeros(1), "ztsnr": torch.zeros(1)}, tmp_path / "unet.safetensors")
    weights = weights_of(tmp_path / "unet.safetensors")
    assert len(denoiser(weights, sd1.templates, "sd1")[0].places) == len(tensors)  # no family is as narrow as this one
    sampling = sampling_of(weights.files[0], "sd1", 4, "")
    assert (sampling.prediction, sampling.zero_snr) == ("v", True)


def test_a_matrix_serves_as_a_convolution_of_one_pixel(sd1: Case, tmp_path: Path) -> None:
    tensors = load_file(sd1.file)
    name = next(key for key in tensors if key.endswith("1.proj_in.weight"))
    tensors[name] = tensors[name][:, :, 0, 0]
    save_file(tensors, tmp_path / "x.safetensors")
    place = open_checkpoint(tmp_path / "x.safetensors", sd1.templates).networks["unet"].places
    assert next(one.shape for one in place.values() if one.key == name)[2:] == (1, 1)


def test_an_autoencoder_of_older_names_is_the_same(sd1: Case, tmp_path: Path) -> None:
    now = sd1.folder / "vae" / "diffusion_pytorch_model.safetensors"
    tensors: dict[str, Any] = {}
    for name, value in load_file(now).items():
        older = name
        for new, old in (("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")):
            older = older.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        tensors[older] = value[:, :, None, None] if older != name and value.ndim == 2 else value
    assert sum(".query." in name for name in tensors) == 4
    save_file({name: value.contiguous() for name, value in tensors.items()}, tmp_path / "old.safetensors")
    places = [
        open_vae(path, sd1.templates).networks["vae_decoder"].places for path in (now, tmp_path / "old.safetensors")
    ]
    assert {name: place.shape for name, place in places[0].items()} == {n: p.shape for n, p in places[1].items()}


@pytest.mark.parametrize(
    ("table", "words"),
    [(torch.zeros(49408, 63), "expected [tokens, 64]"), (torch.zeros(49408, 64, dtype=torch.uint8), "stored as U8")],
)
def test_a_table_of_tokens_that_does_not_fit_is_named(sd1: Case, tmp_path: Path, table: Any, words: str) -> None:
    tensors = load_file(sd1.file)
    tensors["cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"] = table
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(ModelError) as caught:
        open_checkpoint(tmp_path / "x.safetensors", sd1.templates)
    assert words in caught.value.message


def test_what_a_file_says_of_itself_may_be_anything(sd1: Case, tmp_path: Path) -> None:
    said = {"modelspec.title": "a\n\x1b[31mb " + "c" * 999, "modelspec.license": "\x00\n"}
    save_file(load_file(sd1.file), tmp_path / "x.safetensors", said)
    model = open_checkpoint(tmp_path / "x.safetensors", sd1.templates)
    assert model.name.startswith("a \\x1b[31mb ccc") and len(model.name) == 200
    export_with_templates(model, tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").name == model.name


def test_what_nobody_could_open_does_not_replace_a_bundle(
    sd1: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = open_checkpoint(sd1.file, sd1.templates)
    export_with_templates(model, tmp_path / "bundle")
    before = (tmp_path / "bundle" / "onnxflow.json").read_bytes()
    monkeypatch.setattr(template_bundle, "write_manifest", lambda path, *given, **more: path.write_text("{}"))
    with pytest.raises(ModelError):
        export_with_templates(model, tmp_path / "bundle")
    assert (tmp_path / "bundle" / "onnxflow.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_two_files_of_one_shape_and_time_are_two_models(sd1: Case, tmp_path: Path) -> None:
    for name in ("a", "b"):
        shutil.copy(sd1.file, tmp_path / f"{name}.safetensors")
        os.utime(tmp_path / f"{name}.safetensors", (1, 1))
    one, other = (open_checkpoint(tmp_path / f"{name}.safetensors", sd1.templates).identity for name in "ab")
    assert one != other == open_checkpoint(tmp_path / "b.safetensors", sd1.templates).identity


def test_what_is_left_counts_as_room(sd1: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_checkpoint(sd1.file, sd1.templates)
    monkeypatch.setattr(template_bundle, "free_disk", lambda path: 15_000_000)
    with pytest.raises(OutputError, match="the disk has 15"):
        export_with_templates(model, tmp_path / "bundle")
    left = tmp_path / ".bundle.part"
    left.mkdir()
    (left / "some").write_bytes(b"\0" * 10_000_000)
    export_with_templates(model, tmp_path / "bundle", resume=True)
    assert open_bundle(tmp_path / "bundle")


def test_memory_that_ends_is_one_error_that_names_the_way_on(
    sd1: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(*given: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(template_bundle, "write_weights", ends)
    with pytest.raises(MemoryLimitError) as caught:
        export_with_templates(open_checkpoint(sd1.file, sd1.templates), tmp_path / "bundle")
    assert "--resume" in caught.value.hint


@pytest.mark.parametrize("spoiled", ["first", "last"])
def test_the_comparison_with_torch_sees_a_nan(sd1: Case, monkeypatch: pytest.MonkeyPatch, spoiled: str) -> None:
    from families import TINY

    load: Callable[..., Any] = verify_templates.load_graph

    class Spoiled:
        def __init__(self, graph: Any) -> None:
            self.graph = graph

        def run(self, *given: Any) -> dict[str, Any]:
            found = dict(self.graph.run(*given))
            name = list(found)[0 if spoiled == "first" else -1]
            return {**found, name: np.full_like(found[name], np.nan)}

        def close(self) -> None:
            self.graph.close()

    monkeypatch.setattr(verify_templates, "load_graph", lambda *given: Spoiled(load(*given)))
    compared = list(verify_templates.compare(["clip-l", "vae-encoder"], sd1.templates, TINY))
    assert [one.error for one in compared] == [float("inf")] * 4


def test_no_weight_stays_in_a_graph_that_is_kept(sd1: Case, tmp_path: Path) -> None:
    from families import write_case

    case = write_case("sdxl-refiner", tmp_path, sd1.templates)
    model = open_checkpoint(case.file, sd1.templates)
    stored = load_file(case.file)["conditioner.embedders.0.model.text_projection"].T.contiguous().numpy().tobytes()
    parts = weightless(model.graph("text_encoder_2", "fp32"))
    assert parts is not None and any(stored[:4096] in tensor for tensor in parts.weights.values())
    assert stored[:4096] not in parts.model and len(parts.model) < 300_000

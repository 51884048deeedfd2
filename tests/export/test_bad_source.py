"""What is no model that can be exported is one clear error of the command line, and nothing is left behind."""

# ruff: noqa: E402
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.numpy import load_file, save_file

from onnxflow.cli.main import main
from onnxflow.errors import ModelError
from onnxflow.export import bundle as exporting
from onnxflow.export import source as reading
from onnxflow.export.source import check_weights

UNET = Path("unet") / "diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(random_model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(random_model, tmp_path / "model"))


def refusal(model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What `onnxflow export` says of a model that it refuses."""
    before = sorted(model.parent.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["onnxflow", "export", str(model), "-o", str(model.parent / "new" / "bundle")])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert left.value.code == 1, said.err
    assert said.out == ""
    assert "Traceback" not in said.err and "internal error" not in said.err
    assert said.err.count("error: ") == 1
    assert sorted(model.parent.rglob("*")) == before
    return said.err[said.err.index("error: ") :]


@pytest.mark.parametrize(
    "pipeline",
    ["FluxPipeline", "StableDiffusion3Pipeline", "PixArtSigmaPipeline", "StableDiffusionUpscalePipeline", "UNet", None],
)
def test_a_folder_of_another_family(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], pipeline: str | None
) -> None:
    (model / "model_index.json").write_text(json.dumps({"_class_name": pipeline}))
    said = refusal(model, monkeypatch, capsys)
    assert f"the model is a '{pipeline}'" in said
    assert "this version knows Stable Diffusion 1.x, 2.x and XL" in said


@pytest.mark.parametrize(
    ("tensor", "what"),
    [
        ("double_blocks.0.img_attn.qkv.weight", "Flux"),
        ("model.diffusion_model.double_blocks.0.img_attn.qkv.weight", "Flux"),
        ("joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3"),
        ("model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight", "Stable Diffusion 3"),
        ("conv_in.weight", "a single network in Diffusers' layout"),
        ("lora_unet_down_blocks_0.lora_up.weight", "a LoRA, which belongs into loras/"),
    ],
)
def test_a_file_of_another_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tensor: str, what: str
) -> None:
    path = tmp_path / "model.safetensors"
    save_file({tensor: np.zeros((3, 3), np.float32)}, path)
    said = refusal(path, monkeypatch, capsys)
    assert f"the file is {what}\n  in: {path}\n  try: known are Stable Diffusion 1.x" in said


def without(name: str) -> Callable[[Path], None]:
    def remove(model: Path) -> None:
        path = model / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def truncated(model: Path) -> None:
    path = model / UNET
    path.write_bytes(path.read_bytes()[:-100])


def not_a_number(model: Path) -> None:
    weights = {name: value.copy() for name, value in load_file(model / UNET).items()}
    weights["conv_in.bias"][2] = np.inf
    save_file(weights, model / UNET, metadata={"format": "pt"})


def two_tokens(model: Path) -> None:
    """What transformers makes of a tokenizer without its files, silently."""
    (model / "tokenizer" / "vocab.json").write_text('{"<|startoftext|>": 0, "<|endoftext|>": 1}')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without("unet"), "the model has no unet/"),
        (without("text_encoder"), "the model has no text_encoder/"),
        (without("vae/config.json"), "cannot read config.json: No such file"),
        (without("tokenizer"), "the model has no tokenizer/"),
        (without("tokenizer/vocab.json"), "cannot read vocab.json: No such file"),
        (without("tokenizer/merges.txt"), "cannot read merges.txt"),
        (two_tokens, "the tokenizer has 2 tokens, the text encoder 514"),
        (truncated, "unet cannot be loaded"),
        (not_a_number, "unet: 1 values of conv_in.bias are not numbers"),
    ],
)
def test_a_folder_that_is_damaged(
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    damage: Callable[[Path], None],
    words: str,
) -> None:
    monkeypatch.setattr(exporting, "compare", lambda *given: (0.0, 0.1))  # of the parts before; the time is there
    damage(model)
    said = refusal(model, monkeypatch, capsys)
    assert words in said
    assert f"  in: {model}" in said and "  try: " in said


def test_a_weight_that_was_left_on_the_meta_device() -> None:
    with torch.device("meta"):
        network = torch.nn.Linear(2, 2)
    with pytest.raises(ModelError, match="unet has no value for weight"):
        check_weights(network, "unet", "model")


def test_a_source_that_cannot_be_read_is_no_fault_of_the_bundle(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(path: Path) -> str:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(reading, "sha256", failing)
    said = refusal(model, monkeypatch, capsys)
    assert f"cannot read the model: Input/output error\n  in: {model}" in said


@pytest.mark.parametrize("output", [".", "/"])
def test_a_bundle_in_the_working_folder_or_the_root(
    random_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
) -> None:
    monkeypatch.setattr(exporting, "compare", lambda *given: (0.0, 0.1))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "argv", ["onnxflow", "export", str(random_model), "-o", output, "--quiet"])
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    if output == "/":
        assert (left.value.code, said.err.splitlines()[0]) == (2, "error: the bundle needs a folder of its own")
    else:
        assert (left.value.code or 0, said.out, said.err) == (0, ".\n", "")
        assert (tmp_path / "here" / "onnxflow.json").is_file()
        assert [path.name for path in tmp_path.iterdir()] == ["here"]

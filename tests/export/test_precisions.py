# ruff: noqa: E402
import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from onnxflow.cli.main import main
from onnxflow.errors import ModelError, UsageError
from onnxflow.export import bundle as exporting
from onnxflow.export import components
from onnxflow.export.bundle import export_bundle
from onnxflow.models.bundle import open_bundle

TABLE = "token_embedding.npy"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def bundle(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    export_bundle(random_model, folder, precisions=("fp32", "int8"), storage="fp16")
    return folder


def test_text_encoder_and_unet_are_there_twice(bundle: Path) -> None:
    components = json.loads((bundle / "onnxflow.json").read_text())["components"]
    for name in ("text_encoder", "unet"):
        variants = components[name]["variants"]
        assert set(variants) == {"fp32", "int8"}
        assert (variants["fp32"]["file"], variants["fp32"]["storage"]) == (f"{name}/model.onnx", "fp16")
        assert (variants["int8"]["file"], variants["int8"]["storage"]) == (f"{name}/model.int8.onnx", "int8")
        assert variants["fp32"]["max_relative_error"] < 1e-5 < 1e-4 < variants["int8"]["max_relative_error"] < 1e-1
    for name in ("vae_encoder", "vae_decoder"):
        assert set(components[name]["variants"]) == {"fp32"}


def test_nothing_is_left_of_the_way_there(bundle: Path) -> None:
    assert set(files(bundle)) == {
        "onnxflow.json",
        "text_encoder/model.int8.onnx",
        "text_encoder/model.onnx",
        "text_encoder/token_embedding.npy",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        "unet/model.int8.onnx",
        "unet/model.onnx",
        "vae_decoder/model.onnx",
        "vae_encoder/model.onnx",
    }


def test_the_runtime_takes_int8_where_it_is_asked_for_and_there(bundle: Path) -> None:
    asked, plain = open_bundle(bundle, preferred="int8"), open_bundle(bundle)
    assert asked.manifest.alternatives == ("int8",)
    assert [asked.variant_of(name) for name in ("text_encoder", "unet", "vae_decoder")] == ["int8", "int8", "fp32"]
    assert [plain.variant_of(name) for name in ("text_encoder", "unet", "vae_decoder")] == ["fp32"] * 3
    assert asked.graph("unet", "int8") == bundle / "unet" / "model.int8.onnx"


def onnxflow(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of `onnxflow export`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["onnxflow", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code or 0


def test_the_command_line_writes_the_very_same_bundle_with_fp32_though_only_int8_was_asked_for(
    bundle: Path,
    random_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(2)
    again = tmp_path / "bundle"
    assert onnxflow(monkeypatch, random_model, "-o", again, "--precision", "int8", "--storage", "fp16") == 0
    said = capsys.readouterr()
    assert said.out == f"{again}\n"
    for line in ("text_encoder, fp32: ", "text_encoder, int8: ", "unet, fp32: ", "unet, int8: ", "vae_decoder, fp32: "):
        assert said.err.count(line) == 1
    assert files(again) == files(bundle)


def test_the_command_line_refuses_an_unknown_precision(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--precision", "int8", "--precision", "fp8"]
    assert onnxflow(monkeypatch, random_model, "-o", tmp_path / "bundle", *options) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: unknown precision 'fp8'\n  try: this version exports fp32 and int8\n"
    assert not list(tmp_path.iterdir())


def test_weights_beside_the_graph_are_not_left_behind(
    bundle: Path, random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = exporting.write_graph
    monkeypatch.setattr(exporting, "write_graph", lambda *given: write(*given, inline_limit=1000))
    monkeypatch.setattr(exporting, "_components", lambda model: [components.text_encoder(model.text_encoder)])
    export_bundle(random_model, tmp_path / "bundle", precisions=["int8"])
    found = {name for name in files(tmp_path / "bundle") if name.startswith("text_encoder/")}
    assert found == {f"text_encoder/{name}" for name in ("model.int8.onnx", "model.onnx", "weights.bin", TABLE)}
    graph = Path("text_encoder") / "model.int8.onnx"
    assert (tmp_path / "bundle" / graph).read_bytes() == (bundle / graph).read_bytes()


def test_an_int8_graph_too_far_from_torch_is_not_written(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "max_relative_error", lambda component, path: 0.2 if "int8" in path.name else 0.0)
    with pytest.raises(ModelError, match=r"text_encoder differs from torch by 2\.0e-01, int8 may by 1e-01"):
        export_bundle(random_model, tmp_path / "bundle", precisions=["int8"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precisions", [["fp16"], ["int8", "int4"], ["INT8"]])
def test_an_unknown_precision_is_refused(random_model: Path, tmp_path: Path, precisions: list[str]) -> None:
    with pytest.raises(UsageError, match="unknown precision") as caught:
        export_bundle(random_model, tmp_path / "bundle", precisions=precisions)
    assert caught.value.hint == "this version exports fp32 and int8"
    assert not list(tmp_path.iterdir())

# ruff: noqa: E402
import json
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

import onnx

from onnxflow.cli.main import main
from onnxflow.errors import ModelError, UsageError
from onnxflow.export import bundle as exporting
from onnxflow.export.bundle import export_bundle
from onnxflow.models.bundle import open_bundle


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
        assert 1e-5 < variants["fp32"]["relative_error"] < 1e-3 < variants["int8"]["relative_error"] < 1e-1
    for name in ("vae_encoder", "vae_decoder"):
        assert set(components[name]["variants"]) == {"fp32"}


def test_nothing_is_left_of_the_way_there(bundle: Path) -> None:
    assert set(files(bundle)) == {
        "onnxflow.json",
        *(f"reference/{name}.safetensors" for name in ("text_encoder", "unet", "vae_decoder", "vae_encoder")),
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
    assert asked.graph("unet", "int8").path == bundle / "unet" / "model.int8.onnx"


def onnxflow(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of `onnxflow export`, run in this process."""
    monkeypatch.setattr(sys, "argv", ["onnxflow", "export", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code or 0


def test_the_command_line_writes_the_very_same_bundle_and_a_table(
    bundle: Path,
    random_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.manual_seed(2)
    again = tmp_path / "bundle"
    options = ["--precision", "int8", "--precision", "fp32", "--storage", "fp16"]
    assert onnxflow(monkeypatch, random_model, "-o", again, *options) == 0
    said = capsys.readouterr()
    assert said.out == f"{again}\n"
    for line in ("text_encoder, fp32: ", "text_encoder, int8: ", "unet, fp32: ", "unet, int8: ", "vae_decoder, fp32: "):
        assert said.err.count(line) == 1
    table = said.err[said.err.index("COMPONENT") :].splitlines()
    assert [line.split()[:2] for line in table[1:]] == [
        ["text_encoder", "int8"], ["text_encoder", "fp32"], ["vae_encoder", "fp32"], ["vae_decoder", "fp32"],
        ["unet", "int8"], ["unet", "fp32"],
    ]  # fmt: skip
    found, expected = files(again), files(bundle)
    del found["onnxflow.json"], expected["onnxflow.json"]  # it has the seconds in it
    assert found == expected


def test_only_what_is_asked_for_is_made_but_for_what_cannot_be(random_model: Path, tmp_path: Path) -> None:
    made = export_bundle(random_model, tmp_path / "bundle", precisions=["int8"])
    assert [(one.step.component, one.step.precision) for one in made] == [
        ("text_encoder", "int8"), ("vae_encoder", "fp32"), ("vae_decoder", "fp32"), ("unet", "int8"),
    ]  # fmt: skip
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.variant_of("unet") == "int8"
    assert bundle.manifest.alternatives == ()


def test_half_precision_graphs_keep_their_inputs_and_outputs(random_model: Path, tmp_path: Path) -> None:
    made = export_bundle(random_model, tmp_path / "bundle", precisions=["fp32", "fp16"])
    sizes = {(one.step.component, one.step.precision): one.size for one in made}
    for one in made:
        graph = onnx.load(tmp_path / "bundle" / one.step.file).graph
        kinds = {value.name: value.type.tensor_type.elem_type for value in [*graph.input, *graph.output]}
        assert onnx.TensorProto.FLOAT16 not in kinds.values()
        if one.step.precision == "fp16":
            assert {t.data_type for t in graph.initializer} <= {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64}
            assert sizes[one.step.component, "fp16"] < 0.75 * sizes[one.step.component, "fp32"]
            assert 1e-5 < one.done.error < 5e-3
    asked = open_bundle(tmp_path / "bundle", preferred="fp16")
    assert [asked.variant_of(name) for name in ("text_encoder", "unet", "vae_decoder")] == ["fp16"] * 3


def test_the_command_line_refuses_an_unknown_precision(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--precision", "int8", "--precision", "fp8"]
    assert onnxflow(monkeypatch, random_model, "-o", tmp_path / "bundle", *options) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "error: unknown precision 'fp8'\n  try: this version exports fp32, fp16, int8, int8-static\n"
    assert not list(tmp_path.iterdir())


def test_weights_beside_the_graph_are_not_left_behind(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = exporting.write_graph
    monkeypatch.setattr(exporting, "write_graph", lambda *given: write(*given, inline_limit=1000))
    export_bundle(random_model, tmp_path / "bundle", precisions=["int8", "fp32", "fp16"])
    found = {name for name in files(tmp_path / "bundle") if name.startswith("unet/")}
    expected = ("model.int8.onnx", "model.onnx", "model.bin", "model.fp16.onnx", "model.fp16.bin")
    assert found == {f"unet/{name}" for name in expected}


def test_an_int8_graph_too_far_from_torch_is_not_written(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "compare", lambda path, *others: (0.2 if "int8" in path.name else 0.0, 0.1))
    with pytest.raises(ModelError, match=r"text_encoder differs from torch by 2\.0e-01, int8 may by 1e-01"):
        export_bundle(random_model, tmp_path / "bundle", precisions=["int8"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("precisions", [["fp8"], ["int8", "int4"], ["INT8"], []])
def test_an_unknown_precision_is_refused(random_model: Path, tmp_path: Path, precisions: list[str]) -> None:
    with pytest.raises(UsageError, match="unknown precision") as caught:
        export_bundle(random_model, tmp_path / "bundle", precisions=precisions)
    assert caught.value.hint == "this version exports fp32, fp16, int8, int8-static"
    assert not list(tmp_path.iterdir())


def test_rounded_storage_excuses_the_rounding_and_nothing_else(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "compare", lambda *given: (1e-3, 0.1))  # allowed by rounding, not by fp32
    with pytest.raises(ModelError, match="text_encoder differs from torch by inf"):
        export_bundle(random_model, tmp_path / "bundle", storage="fp16")
    assert not list(tmp_path.iterdir())
